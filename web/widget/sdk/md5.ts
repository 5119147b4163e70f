/** MD5 (RFC 1321) in hexadecimal: the form in which the `cw_user_…` cookie remembers a user. It protects nothing. */

const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]

export function md5(text: string): string {
  const words = padded(new TextEncoder().encode(text))
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476])
  for (let block = 0; block < words.length; block += 16) mix(state, words.subarray(block, block + 16))
  return Array.from(new Uint8Array(state.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The bytes, a one bit, zeros, and the length in bits, as little-endian words. */
function padded(bytes: Uint8Array): Int32Array {
  const words = new Int32Array(((bytes.length + 8) >> 6) * 16 + 16)
  bytes.forEach((byte, at) => (words[at >> 2]! |= byte << ((at % 4) * 8)))
  words[bytes.length >> 2]! |= 0x80 << ((bytes.length % 4) * 8)
  words[words.length - 2] = bytes.length * 8
  return words
}

function mix(state: Int32Array, block: Int32Array): void {
  let [a, b, c, d] = state as unknown as [number, number, number, number]
  for (let step = 0; step < 64; step++) {
    const round = step >> 4
    const [value, at] = [
      [(b & c) | (~b & d), step],
      [(d & b) | (~d & c), (5 * step + 1) % 16],
      [b ^ c ^ d, (3 * step + 5) % 16],
      [c ^ (b | ~d), (7 * step) % 16],
    ][round] as [number, number]
    const sum = (a + value + Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32) + block[at]!) | 0
    const shift = SHIFTS[round * 4 + (step % 4)]!
    ;[a, d, c] = [d, c, b]
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0
  }
  for (const [at, value] of [a, b, c, d].entries()) state[at]! += value
}
