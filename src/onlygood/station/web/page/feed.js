// What the station tells by itself: decisions, and its own state. Silence is told, too.

const SILENCE_MS = 12_000; // the station speaks at least every 5 s

/** Emits `decision`, `status` and `connection` (detail true or false). */
export class Feed extends EventTarget {
  constructor() {
    super();
    this.connected = null; // not known yet
    this.status = null;
    this.heard = 0;
  }

  start() {
    this.stop();
    const source = new EventSource("/events");
    this.source = source;
    source.addEventListener("open", () => this.#hear());
    source.addEventListener("decision", (event) => {
      this.#hear();
      this.#tell("decision", JSON.parse(event.data));
    });
    source.addEventListener("status", (event) => {
      this.#hear();
      this.status = JSON.parse(event.data);
      this.#tell("status", this.status);
    });
    source.addEventListener("error", () => {
      this.#connection(false);
      // The browser calls again by itself, except after a refusal.
      if (source.readyState === EventSource.CLOSED) this.again = setTimeout(() => this.start(), 3000);
    });
    this.watch = setInterval(() => {
      if (performance.now() - this.heard > SILENCE_MS) {
        this.#connection(false);
        this.start();
      }
    }, 1000);
    this.heard = performance.now();
  }

  stop() {
    this.source?.close();
    clearInterval(this.watch);
    clearTimeout(this.again);
  }

  #hear() {
    this.heard = performance.now();
    this.#connection(true);
  }

  #connection(now) {
    if (this.connected === now) return;
    this.connected = now;
    this.#tell("connection", now);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
