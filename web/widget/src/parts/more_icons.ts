/** Pictures of everything behind the first view: strokes on a grid of 24. */

export const moreIcon =
  'M12 5a.6.6 0 1 0 0 1.2.6.6 0 0 0 0-1.2ZM12 11.4a.6.6 0 1 0 0 1.2.6.6 0 0 0 0-1.2ZM12 17.8a.6.6 0 1 0 0 1.2.6.6 0 0 0 0-1.2Z'
export const attachIcon =
  'M20 11.5l-8 8a5 5 0 0 1-7.1-7.1l8.4-8.3a3.4 3.4 0 0 1 4.8 4.8l-8.3 8.2a1.7 1.7 0 0 1-2.4-2.4l7.5-7.4'
export const emojiIcon =
  'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM8.5 14.3c.8 1.1 2 1.8 3.5 1.8s2.7-.7 3.5-1.8M9 9.6v.01M15 9.6v.01'
export const checkIcon = 'M5 12.5l4.5 4.5L19 7.5'
export const checksIcon = 'M2 12.8l4.2 4.2 8.3-9M11.5 16.6l.4.4L21 8'
export const clockIcon = 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7.5V12l3 2'
export const warningIcon =
  'M12 8.5v5M12 17v.01M10.3 4l-7.6 13.2A2 2 0 0 0 4.4 20h15.2a2 2 0 0 0 1.7-2.8L13.7 4a2 2 0 0 0-3.4 0Z'
export const fileIcon = 'M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8ZM14 3v5h5'
export const downloadIcon = 'M12 4v11M7 10.5l5 5 5-5M5 20h14'
export const replyIcon = 'M9.5 6L4 11.5 9.5 17M4.5 11.5H14a6 6 0 0 1 6 6V19'
export const windowIcon = 'M14 4h6v6M20 4l-8.5 8.5M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4'
export const mailIcon = 'M4 6h16v12H4ZM4 7l8 6.5L20 7'
export const soundIcon = 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5ZM15.5 9a4 4 0 0 1 0 6M18 6.5a7.5 7.5 0 0 1 0 11'
export const silenceIcon = 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5ZM16 9.5l5 5M21 9.5l-5 5'
export const endIcon = 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM8.5 12.2l2.5 2.5 4.5-5'
export const downIcon = 'M12 5v14M5.5 12.5L12 19l6.5-6.5'
export const chatIcon =
  'M12 4c-4.7 0-8.5 3.2-8.5 7.2 0 2.2 1.2 4.3 3.1 5.6L6 20.5l3.8-1.8c.7.2 1.4.2 2.2.2 4.7 0 8.5-3.3 8.5-7.4S16.7 4 12 4Z'
export const starIcon = 'M12 3.8l2.5 5.3 5.8.8-4.2 4.1 1 5.8L12 17l-5.1 2.8 1-5.8-4.2-4.1 5.8-.8Z'
