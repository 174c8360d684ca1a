(() => {
  "use strict";

  const exponent = (value) => Number(value.toExponential().split("e")[1]);
  const percent = (share) => {
    const value = 100 * share;
    let decimals = 1; // as percent() in counterpoise/wording.py
    if (value === 0) decimals = 0;
    else if (value < 1) decimals = 1 - exponent(value);
    else if (value > 99 && value < 100) decimals = Math.max(1, -exponent(100 - value));
    const digits = value.toFixed(decimals);
    return (decimals > 0 ? digits.replace(/\.?0+$/, "") : digits) + "%";
  };
  const figure = (value) =>
    Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 15 });
  const count = (value) => value.toLocaleString("en-US");
  const short = (value) => String(Number(value.toPrecision(4)));

  // Recall's and the false alerts' intervals as one: Zou and Donner 2008, as in stops.py.
  const cost = (data, place, fn, fp) => {
    const rows = data.positives + data.negatives;
    const errors = [
      {
        weight: (1000 * data.positives / rows) * (fn - data.costs.tp),
        value: 1 - data.tp[place] / data.positives,
        low: 1 - data.recall.high[place],
        high: 1 - data.recall.low[place],
      },
      {
        weight: (1000 * data.negatives / rows) * (fp - data.costs.tn),
        value: data.fp[place] / data.negatives,
        low: data.fpr.low[place],
        high: data.fpr.high[place],
      },
    ];
    let value = 1000 * (data.positives * data.costs.tp + data.negatives * data.costs.tn) / rows;
    let below = 0;
    let above = 0;
    for (const one of errors) {
      const down = one.weight * (one.value - one.low);
      const up = one.weight * (one.high - one.value);
      value += one.weight * one.value;
      below += (one.weight < 0 ? up : down) ** 2;
      above += (one.weight < 0 ? down : up) ** 2;
    }
    return [value, value - Math.sqrt(below), value + Math.sqrt(above)];
  };

  const start = (root) => {
    const source = root.querySelector("script[type='application/json']");
    const slider = root.querySelector("[data-slider]");
    if (!source || !slider) return;
    const data = JSON.parse(source.textContent);
    const show = (key, text) => {
      for (const one of root.querySelectorAll(`[data-show="${key}"]`)) one.textContent = text;
    };
    const tile = (key, value, low, high, written) => {
      show(key, written(value));
      show(key + "-ends", `${written(low)} to ${written(high)}`);
    };
    const price = (key) => {
      const input = root.querySelector(`[data-cost="${key}"]`);
      return Number.isFinite(input.valueAsNumber) && input.valueAsNumber >= 0 ? input.valueAsNumber : data.costs[key];
    };

    const move = () => {
      const place = Number(slider.value);
      const tp = data.tp[place];
      const fp = data.fp[place];
      const flagged = tp + fp;
      const rows = data.positives + data.negatives;
      const rate = { precision: tp / flagged, recall: tp / data.positives, alerts: flagged / rows, fpr: fp / data.negatives };
      for (const key of ["precision", "recall", "fpr"]) tile(key, rate[key], data[key].low[place], data[key].high[place], percent);
      if (flagged === 0) {
        show("precision", "none");
        show("precision-ends", "no alert");
      }
      tile("alerts", 1000 * rate.alerts, 1000 * data.alerts.low[place], 1000 * data.alerts.high[place], figure);
      show("alerts-meaning", `${count(flagged)} of the ${count(rows)} test rows`);
      tile("cost", ...cost(data, place, price("fn"), price("fp")), figure);
      show("tp", count(tp));
      show("fp", count(fp));
      show("fn", count(data.positives - tp));
      show("tn", count(data.negatives - fp));
      const own = place === data.chosen;
      const threshold = short(data.threshold[place]);
      show("threshold", own ? `${threshold}, the model’s` : threshold);
      const brief = flagged
        ? `precision ${percent(rate.precision)}, recall ${percent(rate.recall)}, ${count(flagged)} ${flagged === 1 ? "alert" : "alerts"}`
        : "no alert, recall 0%";
      show("brief", brief);
      slider.setAttribute("aria-valuetext", `${threshold}${own ? ", the model’s" : ""}: ${brief}`);
      root.querySelectorAll("[data-kept]").forEach((one, bound) => {
        one.dataset.state = data.kept[bound][place];
        one.querySelector("b").textContent = data.kept[bound][place];
      });
      for (const mark of root.querySelectorAll("[data-track]")) {
        const [x, y] = JSON.parse(mark.dataset.track)[place];
        mark.setAttribute("transform", `translate(${x} ${y})`);
      }
      root.querySelector("[data-reset]").disabled = own;
    };

    slider.value = data.chosen; // a browser that reloads the page keeps the old place
    slider.addEventListener("input", move);
    for (const input of root.querySelectorAll("[data-cost]")) input.addEventListener("input", move);
    root.querySelector("[data-reset]").addEventListener("click", () => {
      slider.value = data.chosen;
      move();
      slider.focus();
    });
    move();
  };

  for (const root of document.querySelectorAll("[data-counterpoise]:not([data-ready])")) {
    root.dataset.ready = "";
    start(root);
  }

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("[data-counterpoise] details:not([open])")) {
      one.open = true;
      opened.push(one);
    }
  });
  addEventListener("afterprint", () => {
    for (const one of opened.splice(0)) one.open = false;
  });
})();
