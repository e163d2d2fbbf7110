// Search from the disk: a page that is a file may start no worker, so the script of the search runs in a hidden frame of the page instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      (document.body ?? document.documentElement).append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => this.answer(data);
      this.inside.importScripts = (...names) => Promise.all(names.map((name) => this.load(name)));
      this.ready = this.load(script);
    }

    load(script) {
      const element = this.inside.document.createElement("script");
      element.src = script;
      return new Promise((done, failed) => {
        element.onload = done;
        element.onerror = failed;
        this.inside.document.documentElement.append(element);
      });
    }

    answer(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      this.onmessage?.(event);
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data })));
    }

    terminate() {
      this.inside.frameElement?.remove();
    }
  };
}
