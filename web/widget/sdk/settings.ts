/** What the host page may set in `window.chatwootSettings`, with what holds where it says nothing. */

export type Position = 'left' | 'right'
export type Scheme = 'light' | 'auto' | 'dark'

export interface Settings {
  hideMessageBubble: boolean
  position: Position
  locale: string
  useBrowserLanguage: boolean
  type: 'standard' | 'expanded_bubble'
  launcherTitle: string
  showPopoutButton: boolean
  showUnreadMessagesDialog: boolean
  widgetStyle: 'standard' | 'flat'
  darkMode: Scheme
  baseDomain: string
  welcomeTitle?: string
  welcomeDescription?: string
  availableMessage?: string
  unavailableMessage?: string
  enableFileUpload?: boolean
  enableEmojiPicker?: boolean
  enableEndConversation?: boolean
}

/** The page's settings, with a value for everything that must have one. */
export function readSettings(given: Partial<Settings>): Settings {
  return {
    ...given,
    hideMessageBubble: given.hideMessageBubble ?? false,
    position: given.position === 'left' ? 'left' : 'right',
    locale: (given.useBrowserLanguage ? navigator.language : given.locale) ?? '',
    useBrowserLanguage: given.useBrowserLanguage ?? false,
    type: given.type === 'expanded_bubble' ? 'expanded_bubble' : 'standard',
    launcherTitle: given.launcherTitle ?? '',
    showPopoutButton: given.showPopoutButton ?? false,
    showUnreadMessagesDialog: given.showUnreadMessagesDialog ?? true,
    widgetStyle: given.widgetStyle === 'flat' ? 'flat' : 'standard',
    darkMode: scheme(given.darkMode),
    baseDomain: given.baseDomain ?? '',
  }
}

/** A colour scheme; anything unknown is `light`, as upstream has it. */
export function scheme(value: unknown): Scheme {
  return value === 'auto' || value === 'dark' ? value : 'light'
}

/** The part of the settings that the widget page is told. */
export function settingsForPage(settings: Settings, isPopoutShown: boolean, snoozedTill: string): object {
  return {
    locale: settings.locale,
    position: settings.position,
    hideMessageBubble: settings.hideMessageBubble,
    showPopoutButton: isPopoutShown,
    showUnreadMessagesDialog: settings.showUnreadMessagesDialog,
    widgetStyle: settings.widgetStyle,
    darkMode: settings.darkMode,
    campaignsSnoozedTill: snoozedTill,
    welcomeTitle: settings.welcomeTitle,
    welcomeDescription: settings.welcomeDescription,
    availableMessage: settings.availableMessage,
    unavailableMessage: settings.unavailableMessage,
    enableFileUpload: settings.enableFileUpload,
    enableEmojiPicker: settings.enableEmojiPicker,
    enableEndConversation: settings.enableEndConversation,
  }
}
