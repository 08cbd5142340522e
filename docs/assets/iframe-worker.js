// Browsers refuse workers to pages that are opened from the disk; the search of the site is one. There, its script runs
// in a hidden frame instead, and messages go to and fro by function calls.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      this.waiting = []
      document.body.append(frame)
      const inside = frame.contentWindow
      const run = source =>
        new Promise((resolve, reject) => {
          const script = inside.document.createElement("script")
          script.src = new URL(source, document.baseURI)
          script.onload = resolve
          script.onerror = reject
          inside.document.body.append(script)
        })
      inside.importScripts = async (...sources) => {
        for (const source of sources) await run(source)
      }
      inside.postMessage = data => {
        const event = new MessageEvent("message", { data })
        this.dispatchEvent(event)
        this.onmessage?.(event)
      }
      this.send = data => inside.dispatchEvent(new inside.MessageEvent("message", { data }))
      run(url).then(() => {
        this.ready = true
        this.waiting.splice(0).forEach(this.send)
      })
      this.remove = () => frame.remove()
    }
    postMessage(data) {
      if (this.ready) this.send(data)
      else this.waiting.push(data)
    }
    terminate() {
      this.remove()
    }
  }
}
