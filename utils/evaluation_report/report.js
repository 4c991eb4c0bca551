"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("threshold");
  if (!slider) return;
  const chosenClass = document.getElementById("class"), reset = document.getElementById("reset");
  const byId = (id) => document.getElementById(id);
  const svg = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const percent = (value) => Number.isFinite(value) ? `${(100 * value).toFixed(0)} %` : "–";
  const counted = (count, one, several) => `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
  const say = (id, text) => { const place = byId(id); if (place && place.textContent !== text) place.textContent = text; };

  // The start is a score itself, such as 0.4713, of which the slider has two digits. Its other steps are decimal
  // fractions, and a score of 0.29999999, which is 0.3 in single precision, counts as 0.3.
  const start = slider.value;
  const threshold = () => slider.value === start ? data.threshold : Number(slider.value) - 1e-7;

  function pointOf(curve, at) {
    let low = 0, high = curve.scores.length;  // scores fall: the rows before `low` have at least `at`
    while (low < high) {
      const middle = (low + high) >> 1;
      if (curve.scores[middle] >= at) low = middle + 1; else high = middle;
    }
    const right = low ? curve.tp[low - 1] : 0, wrong = low ? curve.fp[low - 1] : 0, objects = curve.objects;
    return {
      right, shown: right + wrong, objects, precision: right + wrong ? right / (right + wrong) : NaN,
      recall: objects ? right / objects : NaN, f1: objects ? 2 * right / (right + wrong + objects) : NaN,
    };
  }

  function place(chart, x, y) {
    const { left, right, top, base } = chart.dataset;
    return [+left + (right - left) * x, +base - (base - top) * y];
  }

  function moveDot(chart, key, style, x, y) {
    let dot = chart.querySelector(`circle[data-key="${key}"]`);
    if (!dot) chart.append(dot = svg("circle", { "data-key": key }));
    dot.setAttribute("class", style);
    const known = Number.isFinite(x) && Number.isFinite(y);
    dot.style.display = known ? "" : "none";
    if (!known) return;
    const [cx, cy] = place(chart, x, y);
    dot.setAttribute("cx", cx.toFixed(1));
    dot.setAttribute("cy", cy.toFixed(1));
    dot.setAttribute("r", style.includes("chosen") ? 6 : 3);
  }

  function showPoints(at, label) {
    const prChart = byId("pr-chart"), scoreChart = byId("score-chart");
    for (const curve of data.curves) {
      const point = pointOf(curve, at), chosen = curve.label === label;
      if (prChart) {
        const line = prChart.querySelector(`path[data-label="${curve.label}"]`);
        if (line) { line.classList.toggle("chosen", chosen); if (chosen) prChart.append(line); }
        moveDot(prChart, curve.label, chosen ? "dot chosen" : "dot", point.recall, point.precision);
      }
      const row = document.querySelector(`#points tr[data-label="${curve.label}"]`);
      if (row) {
        row.classList.toggle("chosen", chosen);
        const texts = {
          shown: point.shown.toLocaleString("en"), right: point.right.toLocaleString("en"),
          precision: percent(point.precision), recall: percent(point.recall),
          f1: Number.isFinite(point.f1) ? point.f1.toFixed(2) : "–",
        };
        for (const [name, text] of Object.entries(texts)) row.querySelector(`[data-cell="${name}"]`).textContent = text;
      }
      if (!chosen) continue;
      say("precision", percent(point.precision));
      say("recall", percent(point.recall));
      say("f1", Number.isFinite(point.f1) ? point.f1.toFixed(2) : "–");
      say("summary", `At ${Number(slider.value).toFixed(2)}, ${data.names[label]}: ${counted(point.shown, "box", "boxes")} shown, ` +
        `${point.right.toLocaleString("en")} right (precision ${percent(point.precision)}); ` +
        `${point.right.toLocaleString("en")} of ${counted(point.objects, "object", "objects")} found (recall ${percent(point.recall)}).`);
      if (!scoreChart) continue;
      for (const line of scoreChart.querySelectorAll("path[data-label]")) {
        line.style.display = line.dataset.label === String(label) ? "" : "none";
      }
      let rule = scoreChart.querySelector("line.cursor");
      if (!rule) scoreChart.append(rule = svg("line", { class: "cursor" }));
      const [x, base] = place(scoreChart, Number(slider.value), 0), [, top] = place(scoreChart, 0, 1);
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: top, y2: base })) rule.setAttribute(name, value);
      for (const name of ["precision", "recall", "f1"]) moveDot(scoreChart, name, `dot chosen ${name}`, Number(slider.value), point[name]);
    }
    const circles = prChart && prChart.querySelector("circle.chosen");
    if (circles) prChart.append(circles);
  }

  function showConfusion(at) {
    const matrix = byId("matrix");
    if (!matrix || !data.confusion) return;
    const { thresholds, counts } = data.confusion;
    let nearest = 0;
    thresholds.forEach((one, i) => { if (Math.abs(one - at) < Math.abs(thresholds[nearest] - at)) nearest = i; });
    say("confusion-threshold", thresholds[nearest].toFixed(2));
    [...matrix.tBodies[0].rows].forEach((row, i) => {
      const total = counts[nearest][i].reduce((sum, count) => sum + count, 0);
      [...row.cells].slice(1).forEach((cell, j) => {
        const count = counts[nearest][i][j];
        cell.textContent = count || "";
        cell.className = count ? (i === j ? "right" : "wrong") : "";
        cell.style.setProperty("--share", count && total ? Math.sqrt(count / total).toFixed(3) : 0);
        cell.title = total ? `${count.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
      });
    });
  }

  const figures = [...document.querySelectorAll("figure[data-image]")];
  const filters = [...document.querySelectorAll(".filters input")];

  function boxesOf(image, at, label, kinds) {
    const found = [];
    for (const [x, y, w, h, own, score] of image.objects) {
      if (label && own !== label) continue;
      const missed = score === null || score < at;
      if (missed && kinds.has("missed")) found.push({ x, y, w, h, style: "missed", text: `${data.names[own]}: missed` });
      else if (kinds.has("annotated")) found.push({ x, y, w, h, style: "annotated", text: `${data.names[own]}: annotated` });
    }
    for (const [x, y, w, h, own, score, kind] of image.detections) {
      if ((label && own !== label) || score < at || kind === "ignored" || !kinds.has(kind)) continue;
      const right = kind === "correct", text = right ? "right" : data.kinds[kind];
      found.push({ x, y, w, h, style: right ? "correct" : "wrong", text: `${data.names[own]} ${score.toFixed(2)}: ${text}` });
    }
    return found.sort((a, b) => b.w * b.h - a.w * a.h);  // small ones on top, so that the pointer reaches them
  }

  function focusBox(figure, index) {
    const canvas = figure.querySelector(".canvas"), drawing = canvas.querySelector("svg");
    const boxes = figure.boxes || [], box = boxes[index];
    let tip = canvas.querySelector(".tip");
    for (const rectangle of drawing.querySelectorAll(".focused")) rectangle.classList.remove("focused");
    figure.at = box ? index : -1;
    figure.querySelector(".about").textContent = box ? box.text : "";
    if (!box) { if (tip) tip.remove(); return; }
    if (!tip) { tip = document.createElement("span"); tip.className = "tip"; tip.setAttribute("aria-hidden", "true"); canvas.append(tip); }
    tip.textContent = box.text;
    const { width, height } = drawing.viewBox.baseVal;
    tip.style.top = `${Math.max(0, Math.min(88, 100 * box.y / height))}%`;
    const middle = (box.x + box.w / 2) / width;
    tip.style.left = middle <= 0.5 ? `${Math.max(0, 100 * box.x / width)}%` : "auto";
    tip.style.right = middle > 0.5 ? `${Math.max(0, 100 - 100 * (box.x + box.w) / width)}%` : "auto";
    drawing.querySelectorAll(".box")[index].classList.add("focused");
  }

  function showGallery(at, label) {
    if (!figures.length) return;
    const kinds = new Set(filters.filter((one) => one.checked).map((one) => one.value));
    const everything = !label && filters.every((one) => one.checked || one.value === "annotated");
    const total = { correct: 0, wrong: 0, missed: 0 };
    let visible = 0;
    for (const figure of figures) {
      const image = data.gallery[figure.dataset.image], drawing = figure.querySelector(".canvas svg");
      const boxes = boxesOf(image, at, label, kinds), counts = { correct: 0, wrong: 0, missed: 0, annotated: 0 };
      for (const box of boxes) counts[box.style] += 1;
      for (const style of Object.keys(total)) total[style] += counts[style];
      figure.hidden = !everything && !boxes.length;
      visible += !figure.hidden;
      figure.boxes = boxes;
      const text = `${counts.correct} right, ${counts.wrong} wrong, ${counts.missed} missed`;
      figure.querySelector(".counts").textContent = text;
      if (!drawing) continue;
      drawing.setAttribute("aria-label", `${figure.querySelector("b").textContent}: ${text}. Arrow keys go from box to box.`);
      drawing.replaceChildren();
      boxes.forEach(({ x, y, w, h, style }, i) => {
        const shape = { x, y, width: w, height: h };
        drawing.append(svg("rect", { ...shape, class: "halo" }), svg("rect", { ...shape, class: `box ${style}`, "data-index": i }));
      });
      focusBox(figure, -1);
    }
    say("gallery-summary", `${visible} of ${counted(figures.length, "image", "images")} shown: ` +
      `${counted(total.correct, "box", "boxes")} right, ${total.wrong} wrong, ${counted(total.missed, "object", "objects")} missed.`);
  }

  for (const figure of figures) {
    figure.at = -1;
    const drawing = figure.querySelector(".canvas svg"), button = figure.querySelector(".enlarge");
    const enlarge = () => {
      const large = figure.classList.toggle("large");
      button.setAttribute("aria-pressed", large);
      figure.scrollIntoView({ block: "nearest" });
    };
    button.addEventListener("click", enlarge);
    if (!drawing) continue;
    drawing.addEventListener("pointerover", (event) => { if (event.target.dataset.index) focusBox(figure, +event.target.dataset.index); });
    drawing.addEventListener("pointerleave", () => focusBox(figure, -1));
    drawing.addEventListener("blur", () => focusBox(figure, -1));
    drawing.addEventListener("keydown", (event) => {
      const last = figure.boxes.length - 1;
      const next = {
        ArrowRight: figure.at >= last ? 0 : figure.at + 1, ArrowDown: figure.at >= last ? 0 : figure.at + 1,
        ArrowLeft: figure.at <= 0 ? last : figure.at - 1, ArrowUp: figure.at <= 0 ? last : figure.at - 1,
        Home: 0, End: last, Escape: -1,
      }[event.key];
      if (event.key === "Enter") enlarge(); else if (next !== undefined) focusBox(figure, next); else return;
      event.preventDefault();
    });
  }

  function show() {
    const at = threshold(), label = Number(chosenClass.value);
    say("threshold-value", Number(slider.value).toFixed(2));
    slider.setAttribute("aria-valuetext", `${Number(slider.value).toFixed(2)}: boxes of a lower score are not shown`);
    showPoints(at, label);
    showConfusion(at);
    showGallery(at, label);
  }

  let waiting = false;  // one drawing a frame, however fast the slider moves
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; show(); });
  };
  for (const one of [slider, chosenClass, reset, ...filters, ...document.querySelectorAll(".enlarge")]) one.disabled = false;
  slider.addEventListener("input", soon);
  chosenClass.addEventListener("change", soon);
  reset.addEventListener("click", () => { slider.value = start; soon(); });
  for (const one of filters) one.addEventListener("change", soon);
  show();
})();
