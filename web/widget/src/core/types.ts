/** What comes over the wire, with the names that it has there (contract, sections 6 and 7). */

export const INCOMING = 0
export const OUTGOING = 1
export const ACTIVITY = 2

export interface Attachment {
  id: number
  file_type: string
  data_url?: string
  thumb_url?: string
  content_type?: string
  extension?: string
  file_size?: number
  fallback_title?: string
}

export interface Sender {
  id?: number
  name?: string
  available_name?: string
  avatar_url?: string | null
  thumbnail?: string
  type?: string
}

/** One answer to pick, of an input_select or of a field of a form. */
export interface Choice {
  title?: string
  label?: string
  value: string
}

/** An item of `content_attributes.items`; which keys there are depends on the content type. */
export interface Item {
  title?: string
  value?: string
  description?: string
  media_url?: string
  link?: string
  actions?: { text: string; type: string; uri?: string; payload?: string }[]
  type?: string
  name?: string
  label?: string
  placeholder?: string
  default?: string
  required?: boolean | string
  pattern?: string
  pattern_error?: string
  options?: Choice[]
}

export interface Rating {
  rating: number
  feedback_message?: string | null
}

export interface ContentAttributes {
  items?: Item[]
  submitted_values?: unknown
  submitted_email?: string
  in_reply_to?: number
  deleted?: boolean
  display_type?: string
}

export interface Message {
  id: number
  content: string | null
  message_type: number
  content_type: string
  content_attributes: ContentAttributes
  created_at: number
  conversation_id: number
  private?: boolean
  echo_id?: string
  sender_type?: string
  sender?: Sender
  attachments?: Attachment[]
}

export interface Conversation {
  id: number
  status: string
  created_at: number
  last_activity_at: number
  contact_last_seen_at: number
  agent_last_seen_at: number
  unread_count: number
  last_message: Message | null
}

export interface Agent {
  id: number
  name: string
  avatar_url?: string | null
  availability_status?: string
}

export interface Contact {
  id?: number
  identifier?: string | null
  has_email?: boolean
  has_name?: boolean
  has_phone_number?: boolean
}

export interface WorkingHours {
  day_of_week: number
  closed_all_day: boolean
  open_all_day: boolean
  open_hour: number | null
  open_minutes: number | null
  close_hour: number | null
  close_minutes: number | null
}

export interface PreChatField {
  name: string
  label?: string
  placeholder?: string
  type: string
  field_type: string
  required: boolean
  enabled: boolean
  values?: string[]
  regex_pattern?: string | null
  regex_cue?: string | null
}

/** `window.chatwootWebChannel`: the inbox's settings. */
export interface WebChannel {
  avatarUrl?: string | null
  hasAConnectedAgentBot?: string | boolean | null
  locale?: string | null
  websiteName: string
  websiteToken: string
  welcomeTagline?: string | null
  welcomeTitle?: string | null
  widgetColor: string
  enabledFeatures: string[]
  replyTime?: string | null
  preChatFormEnabled: boolean
  preChatFormOptions?: { pre_chat_message?: string; pre_chat_fields?: PreChatField[] } | null
  workingHoursEnabled: boolean
  workingHours?: WorkingHours[]
  outOfOfficeMessage?: string | null
  utcOffset?: string
  timezone?: string
  csatSurveyEnabled?: boolean
  allowMessagesAfterResolved: boolean
  disableBranding?: boolean
}

/** What the server knows of a survey (`/public/api/v1/csat_survey/{uuid}`). */
export interface Survey {
  id: number
  csat_survey_response: Rating | null
  display_type?: string
  content?: string | null
  inbox_avatar_url?: string | null
  inbox_name?: string
  locale?: string | null
}

export interface Campaign {
  id: number
  trigger_rules: { url?: string; time_on_page?: number }
  trigger_only_during_business_hours?: boolean
  message: string
  sender?: Sender | null
}
