/** The sound of a new message, made of two short tones: no file to load, so no policy of a host page can stop it. */

/** Plays it, if the visitor has already touched the page; browsers allow no sound before. */
export function playSound(): void {
  if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return
  const audio = new AudioContext()
  const tones = [
    { frequency: 660, start: 0 },
    { frequency: 880, start: 0.12 },
  ]
  for (const { frequency, start } of tones) {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()]
    const at = audio.currentTime + start
    tone.frequency.value = frequency
    volume.gain.setValueAtTime(0.0001, at)
    volume.gain.exponentialRampToValueAtTime(0.18, at + 0.02)
    volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.3)
    tone.connect(volume).connect(audio.destination)
    tone.start(at)
    tone.stop(at + 0.32)
  }
  setTimeout(() => void audio.close(), 1000)
}
