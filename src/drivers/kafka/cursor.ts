/** Where the reading of one partition of one topic stands. */

export class Cursor {
  readonly topic: string
  readonly partition: number
  position = 0
  /** Changes with every seek and every hold: what was fetched before is dropped. */
  version = 0
  /** Node id; null: to be asked for. */
  leader: number | null = null
  /** A request for it is under way: two at once could hand records over twice, or out of order. */
  isFetching = false
  isPaused = false
  /** Offset behind the last record, as last heard; null: not yet. */
  end: number | null = null
  /** When the position last moved, or was heard to be the end; null: not read now. */
  private progressMs: number | null = null
  private isHeld = true

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** For requests. */
  get offset(): number {
    return this.position
  }

  /** Sought, and not paused. */
  get isWanted(): boolean {
    return !this.isHeld && !this.isPaused
  }

  get isReadable(): boolean {
    return this.isWanted && !this.isFetching
  }

  seek(position: number): void {
    this.position = position
    this.isHeld = false
    this.version++
    this.progressMs = null
  }

  /** Not read before the next seek. */
  hold(): void {
    this.isHeld = true
    this.version++
    this.progressMs = null
  }

  heard(end: number, nowMs: number): void {
    this.end = end
    if (end <= this.position) this.progressMs = nowMs
  }

  moved(position: number, nowMs: number): void {
    this.position = position
    this.progressMs = nowMs
  }

  /** Milliseconds without progress, and without a known reason: it is wanted, and there is a leader to read it from. */
  stuckMs(nowMs: number): number {
    if (!this.isWanted || this.leader === null) {
      this.progressMs = null
      return 0
    }
    this.progressMs ??= nowMs
    return nowMs - this.progressMs
  }
}
