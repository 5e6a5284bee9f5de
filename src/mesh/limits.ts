/** What a mesh takes at most, and how long it waits. What happens at each limit is said where it is named. */
export interface MeshLimits {
  /** A longer frame is not sent, and ends the link that it comes by. */
  readonly frameBytesMax: number;
  /** Containers within containers in a frame. */
  readonly depthMax: number;
  /** Values in a frame, containers and what is in them. */
  readonly valuesMax: number;
  /** Bytes of a key of an object, and keys of one object. */
  readonly keyBytesMax: number;
  readonly keysMax: number;
  /** Items that one frame carries; more go in the next. */
  readonly itemsMax: number;
  /** Calls that one host may have open at another; one more is rejected as `busy`. */
  readonly callsInFlightMax: number;
  /** While more than this waits to leave for a host, nothing more is put into frames for it. */
  readonly bufferedBytesMax: number;
  /** Streams between two hosts; opening one more is rejected as `busy`. */
  readonly streamsMax: number;
  /** What may be on its way or unread in one direction of a stream. */
  readonly streamWindowBytesMax: number;
  /** Outcomes kept for each host, so that a repeated request is not done twice, and for how long. */
  readonly requestsRememberedMax: number;
  readonly rememberedMsMax: number;
  readonly heartbeatMs: number;
  /** A link that is silent for longer is down. */
  readonly silenceMsMax: number;
  /** From the beginning of a dial until both sides have greeted each other. */
  readonly handshakeMsMax: number;
  /** The first wait before a host is dialled again; each further one is twice as long, up to the last. */
  readonly redialMs: number;
  readonly redialMsMax: number;
  readonly connectionsMax: number;
}

export const meshLimits: MeshLimits = {
  frameBytesMax: 16 * 1_048_576,
  depthMax: 64,
  valuesMax: 1_000_000,
  keyBytesMax: 256,
  keysMax: 1_024,
  itemsMax: 1_024,
  callsInFlightMax: 10_000,
  bufferedBytesMax: 4 * 1_048_576,
  streamsMax: 256,
  streamWindowBytesMax: 1_048_576,
  requestsRememberedMax: 10_000,
  rememberedMsMax: 600_000,
  heartbeatMs: 1_000,
  silenceMsMax: 5_000,
  handshakeMsMax: 5_000,
  redialMs: 100,
  redialMsMax: 5_000,
  connectionsMax: 1_024,
};
