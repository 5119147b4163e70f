/** Pictures that the first view shows: strokes on a grid of 24. */

export const backIcon = 'M15 5l-7 7 7 7'
export const closeIcon = 'M6 6l12 12M18 6L6 18'
export const sendIcon = 'M12 19V5M5.5 11.5L12 5l6.5 6.5'
