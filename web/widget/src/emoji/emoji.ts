/** The emoji that are offered, by subject; old enough for every system to have a picture of them. */
import type { Key } from '../state/texts.svelte'

export const GROUPS: { title: Key; emoji: string[] }[] = [
  {
    title: 'emojiSmileys',
    emoji: split(
      '😀 😃 😄 😁 😆 😅 😂 🤣 😊 😇 🙂 🙃 😉 😌 😍 🥰 😘 😗 😋 😛 😜 🤪 🤨 🧐 🤓 😎 🤩 🥳 😏 😒 😞 😔 😟 😕 🙁 😣 😖 😫 😩 🥺 😢 😭 😤 😠 😡 🤯 😳 🥵 🥶 😱 😨 😰 😥 😓 🤗 🤔 🤭 🤫 😶 😐 😑 😬 🙄 😯 😲 🥱 😴 🤤 😵 🤐 🤢 🤧 😷 🤒 🤕',
    ),
  },
  {
    title: 'emojiPeople',
    emoji: split(
      '👋 🤚 ✋ 🖖 👌 🤏 ✌️ 🤞 🤟 🤘 🤙 👈 👉 👆 👇 ☝️ 👍 👎 ✊ 👊 🤛 🤜 👏 🙌 👐 🤲 🤝 🙏 💪 👀 🙋 🙆 🙅 🤷 🤦 🙇 💁 👩‍💻 👨‍💻 🧑‍🔧 👪 🏃 🚶 💃',
    ),
  },
  {
    title: 'emojiNature',
    emoji: split(
      '🐶 🐱 🐭 🐰 🦊 🐻 🐼 🐨 🐯 🦁 🐮 🐷 🐸 🐵 🐔 🐧 🐦 🦉 🐝 🦋 🐢 🐙 🐬 🐳 🐟 🌵 🌲 🌴 🌱 🍀 🌷 🌹 🌻 🌍 🌙 ⭐ 🌟 ⚡ 🔥 🌈 ☀️ ⛅ ☔ ❄️',
    ),
  },
  {
    title: 'emojiFood',
    emoji: split(
      '🍏 🍎 🍐 🍊 🍋 🍌 🍉 🍇 🍓 🍒 🍑 🥭 🍍 🥥 🥝 🍅 🥑 🥦 🥕 🌽 🥐 🍞 🧀 🥚 🥞 🍔 🍟 🍕 🌮 🥗 🍝 🍜 🍣 🍦 🍰 🎂 🍫 🍪 ☕ 🍵 🍺 🍷 🥂',
    ),
  },
  {
    title: 'emojiThings',
    emoji: split(
      '⚽ 🏀 🎾 🎮 🎯 🎲 🎨 🎵 🎸 🎁 🎉 🎈 🏆 🥇 🚗 🚕 🚌 🚲 ✈️ 🚀 🚢 🏠 🏢 🏥 🏖️ ⌚ 📱 💻 🖨️ 📷 📞 💡 🔋 🔧 🔨 🔑 🔒 📦 📫 📝 📅 📎 📌 ✂️ 💰 💳 🛒',
    ),
  },
  {
    title: 'emojiSymbols',
    emoji: split(
      '❤️ 🧡 💛 💚 💙 💜 🖤 🤍 💔 💕 💯 ✅ ☑️ ✔️ ❌ ❎ ❓ ❗ ⚠️ 🚫 ⛔ ♻️ 🔔 🔕 💬 💭 🕐 ➕ ➖ ➡️ ⬅️ ⬆️ ⬇️ 🔄 🔗 🆗 🆕 🆓 ©️ ®️ ™️',
    ),
  },
]

function split(emoji: string): string[] {
  return emoji.split(' ')
}
