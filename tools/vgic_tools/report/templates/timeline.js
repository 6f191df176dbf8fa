"use strict";
// Draws the time line: lanes of vCPUs and lines on a canvas that follows the scrolled window, so that thousands of
// lanes cost no more than those in sight.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const [lanesBox, canvas, overview] = [byId("lanes"), byId("canvas"), byId("overview")];
  const context = canvas.getContext("2d");
  const SLICE = 14, STRIP = 4, GRAPH = 12, LINE = 12, GAP = 6, RULER = 22, FLOW_ROOM = 12, SENT_BEFORE = 64;
  const end = Math.max(data.end, 1);
  let view = [0, end], colours = {}, lanes = [], height = 0, width = 0, labels = 0, queued = false;

  // Times are kept as differences.
  const summed = (numbers, step, at = 0) => { let t = 0; for (let i = at; i < numbers.length; i += step) numbers[i] = t += numbers[i]; return numbers; };
  for (const cpu of data.cpus) {
    summed(cpu.handled, 4); summed(cpu.outputs, 2); summed(cpu.waiting, 2);
    cpu.depth = 1; cpu.most = 1;
    for (let i = 3; i < cpu.handled.length; i += 4) cpu.depth = Math.max(cpu.depth, cpu.handled[i] + 1);
    for (let i = 1; i < cpu.waiting.length; i += 2) cpu.most = Math.max(cpu.most, cpu.waiting[i]);
  }
  for (const line of data.lines) summed(line.times, 1);
  summed(data.sgis, 5);

  const isPpi = (intid) => intid < 32 || (intid >= 1056 && intid < 1120);
  const kindOf = (intid) => intid < 16 ? "sgi" : isPpi(intid) ? "ppi" : intid < 8192 ? "spi" : "lpi";
  const nameOf = (intid) => `${kindOf(intid).toUpperCase()} ${intid}`;
  const units = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]];
  const timeText = (ticks, digits = 3) => {
    const ns = ticks * data.unit, [unit, size] = units.find(([, s]) => Math.abs(ns) >= s) || units[3];
    return `${(ns / size).toLocaleString("en", { maximumFractionDigits: digits })} ${unit}`;
  };

  // The first place in a list of times, `step` apart, that is after t.
  const after = (times, step, t) => {
    let low = 0, high = times.length / step;
    while (low < high) { const middle = low + high >> 1; if (times[middle * step] > t) high = middle; else low = middle + 1; }
    return low;
  };

  function arrange() {
    const idle = byId("idle").checked;
    lanes = []; height = 0;
    const add = (lane) => { lane.y = height; height += lane.h + GAP; lanes.push(lane); };
    data.cpus.forEach((cpu, number) => {
      cpu.lane = null;
      if (idle || cpu.busy)
        add(cpu.lane = { cpu, number, name: cpu.name, h: cpu.depth * SLICE + STRIP + GRAPH });
    });
    for (const line of data.lines) if (idle || line.times.length) add({ line, name: line.name, h: LINE });
    byId("lanes").style.height = `${Math.min(height + RULER + GAP, Math.max(260, Math.min(innerHeight * .7, 736)))}px`;
    resize();
  }

  function resize() {
    const ratio = devicePixelRatio || 1;
    width = lanesBox.clientWidth;
    labels = width < 520 ? 74 : 118;
    const tall = lanesBox.clientHeight;
    canvas.width = width * ratio; canvas.height = tall * ratio;
    canvas.style.height = `${tall}px`;
    // The canvas sticks to the window; the rest of the lanes' height is below it.
    canvas.style.marginBottom = `${Math.max(0, height + RULER + GAP - tall)}px`;
    overview.width = overview.clientWidth * ratio; overview.height = overview.clientHeight * ratio;
    const style = getComputedStyle(document.documentElement);
    for (const name of ["back", "panel", "text", "dim", "line", "accent", "bad", "sgi", "ppi", "spi", "lpi", "irq", "fiq", "flow"])
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    draw();
  }

  const xOf = (t) => labels + (t - view[0]) / (view[1] - view[0]) * (width - labels);
  const tOf = (x) => view[0] + (x - labels) / (width - labels) * (view[1] - view[0]);
  const draw = () => { if (!queued) { queued = true; requestAnimationFrame(() => { queued = false; paint(); }); } };

  function paint() {
    const ratio = devicePixelRatio || 1, tall = lanesBox.clientHeight, scrolled = lanesBox.scrollTop;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.back; context.fillRect(0, 0, width, tall);
    context.font = "11px system-ui, sans-serif"; context.textBaseline = "middle";
    ruler(tall);
    context.save();
    context.beginPath(); context.rect(0, RULER, width, tall - RULER); context.clip();
    for (const lane of lanes) {
      const y = lane.y + RULER + GAP / 2 - scrolled;
      if (y + lane.h < RULER || y > tall) continue;
      context.fillStyle = colours.text; context.textAlign = "left";
      context.fillText(lane.name, 6, y + Math.min(lane.h / 2, SLICE / 2 + 1), labels - 10);
      context.fillStyle = colours.line; context.fillRect(0, y + lane.h + GAP / 2 - .5, width, .5);
      context.save();
      context.beginPath(); context.rect(labels, RULER, width - labels, tall); context.clip();
      if (lane.cpu) vcpu(lane.cpu, y); else levels(lane.line, y);
      context.restore();
    }
    context.beginPath(); context.rect(labels, RULER, width - labels, tall); context.clip();
    flows(scrolled);
    if (data.divergence !== null) {
      context.fillStyle = colours.bad; context.fillRect(xOf(data.divergence) - 1, RULER, 2, tall);
    }
    context.restore();
    paintOverview();
    // As many digits as tell the two apart.
    const digits = Math.min(9, Math.max(3, Math.ceil(3 - Math.log10((view[1] - view[0]) * data.unit / 1e9))));
    byId("range").textContent = `${timeText(view[0], digits)} to ${timeText(view[1], digits)}: ${timeText(view[1] - view[0])}`;
  }

  function ruler(tall) {
    const span = view[1] - view[0], rough = span / Math.max(2, (width - labels) / 110);
    const power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    context.textAlign = "center";
    for (let t = Math.ceil(view[0] / step) * step; t <= view[1]; t += step) {
      const x = xOf(t);
      context.fillStyle = colours.line; context.fillRect(x, RULER - 5, .5, tall);
      context.fillStyle = colours.dim;
      if (x > labels + 20 && x < width - 20) context.fillText(timeText(t, 9), x, RULER / 2 - 1);
    }
  }

  function vcpu(cpu, y) {
    const { handled, outputs, waiting } = cpu, base = y + cpu.depth * SLICE;
    let first = after(handled, 4, view[0]);
    // What began before and is not over: at most one of each depth.
    for (let back = first - 1, left = 64; back >= 0 && left; back--, left--) {
      first = back;
      if (handled[4 * back + 3] === 0) break;
    }
    const last = new Array(cpu.depth).fill(-1);
    for (let i = Math.max(first, 0); i < handled.length / 4; i++) {
      const start = handled[4 * i], length = handled[4 * i + 1], intid = handled[4 * i + 2], depth = handled[4 * i + 3];
      if (start > view[1]) break;
      const to = length < 0 ? end : start + length;
      if (to < view[0]) continue;
      const x = Math.max(xOf(start), labels - 1), right = Math.min(xOf(to), width + 1), wide = Math.max(right - x, 1);
      // Where there are many in a pixel, one is as good as all.
      if (x + wide <= last[depth] + .5) continue;
      last[depth] = x + wide;
      context.fillStyle = colours[kindOf(intid)];
      context.fillRect(x, y + depth * SLICE + 1, wide, SLICE - 2);
      if (wide > 26) {
        context.fillStyle = colours.back; context.textAlign = "left";
        context.fillText(wide > 52 ? nameOf(intid) : String(intid), x + 4, y + depth * SLICE + SLICE / 2 + .5, wide - 6);
      }
    }
    stepped(outputs, (from, to, value) => {
      if (!value) return;
      context.fillStyle = value & 2 ? colours.irq : colours.fiq;
      context.fillRect(from, base, Math.max(to - from, 1), STRIP - 1);
    });
    context.fillStyle = colours.dim;
    stepped(waiting, (from, to, value) => {
      const tall = value / cpu.most * (GRAPH - 2);
      if (value) context.fillRect(from, base + STRIP + GRAPH - 1 - tall, Math.max(to - from, 1), tall);
    });
  }

  // Each stretch of a signal that is in sight, in pixels; of several in one pixel the highest.
  function stepped(signal, paintStretch) {
    let i = Math.max(after(signal, 2, view[0]) - 1, 0), pixel = -1, most = 0;
    for (; i < signal.length / 2 && signal[2 * i] <= view[1]; i++) {
      const from = Math.max(xOf(signal[2 * i]), labels), value = signal[2 * i + 1];
      const to = Math.min(i + 1 < signal.length / 2 ? xOf(signal[2 * i + 2]) : xOf(end), width);
      if (to < labels) continue;
      if (to - from < 1 && from - pixel < 1) { most = Math.max(most, value); if (value < most || !value) continue; }
      else most = value;
      if (value) { pixel = from; paintStretch(from, to, value); }
    }
  }

  function levels(line, y) {
    context.fillStyle = colours[kindOf(line.intid)];
    let drawn = -1;
    // Lines begin low: they rise at the even places.
    for (let i = Math.max(after(line.times, 1, view[0]) - 1, 0) & ~1; i < line.times.length && line.times[i] <= view[1]; i += 2) {
      const from = Math.max(xOf(line.times[i]), labels), to = Math.min(i + 1 < line.times.length ? xOf(line.times[i + 1]) : xOf(end), width);
      const wide = Math.max(to - from, 1);
      if (to < labels || from + wide <= drawn + .5) continue;
      drawn = from + wide;
      context.fillRect(from, y + 2, wide, LINE - 4);
    }
  }

  function flows(scrolled) {
    const inSight = after(data.sgis, 5, view[0]), last = after(data.sgis, 5, view[1]);
    // More arrows than that are a thicket.
    if (last - inSight > (width - labels) / FLOW_ROOM) return;
    // Those sent before, too, which may be taken in sight.
    const first = Math.max(inSight - SENT_BEFORE, 0);
    context.strokeStyle = context.fillStyle = colours.flow; context.lineWidth = 1.2;
    for (let i = first; i < last; i++) {
      const [time, sender, receiver, , delay] = data.sgis.slice(5 * i, 5 * i + 5);
      const one = data.cpus[sender].lane, other = data.cpus[receiver].lane;
      if (!one || !other || delay < 0 || time + delay < view[0]) continue;
      const x = xOf(time), y = one.y + RULER + GAP / 2 - scrolled + SLICE / 2;
      const toX = xOf(time + delay), toY = other.y + RULER + GAP / 2 - scrolled + SLICE / 2;
      context.beginPath(); context.moveTo(x, y);
      context.bezierCurveTo(x + 12, y, toX - 12, toY, toX, toY); context.stroke();
      context.beginPath(); context.arc(x, y, 2, 0, 7); context.fill();
      context.beginPath(); context.moveTo(toX, toY); context.lineTo(toX - 6, toY - 3); context.lineTo(toX - 6, toY + 3); context.fill();
    }
  }

  let density = null;
  function paintOverview() {
    const ratio = devicePixelRatio || 1, wide = overview.clientWidth, tall = overview.clientHeight, pen = overview.getContext("2d");
    const bins = Math.max(1, Math.floor(wide / 2));
    if (!density || density.length !== bins) {
      density = new Float64Array(bins);
      for (const cpu of data.cpus)
        for (let i = 0; i < cpu.handled.length; i += 4) density[Math.min(bins - 1, Math.floor(cpu.handled[i] / end * bins))]++;
    }
    const most = density.reduce((a, b) => Math.max(a, b), 1);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.panel; pen.fillRect(0, 0, wide, tall);
    pen.fillStyle = colours.accent;
    density.forEach((count, bin) => {
      const high = count ? Math.max(1.5, Math.sqrt(count / most) * (tall - 6)) : 0;
      pen.fillRect(bin * wide / bins, tall - high, Math.max(wide / bins - .4, 1), high);
    });
    const [from, to] = [view[0] / end * wide, view[1] / end * wide];
    pen.fillStyle = colours.text; pen.globalAlpha = .18;
    pen.fillRect(0, 0, from, tall); pen.fillRect(to, 0, wide - to, tall);
    pen.globalAlpha = 1; pen.strokeStyle = colours.accent; pen.strokeRect(from + .5, .5, Math.max(to - from - 1, 2), tall - 1);
  }

  function show(from, to) {
    const span = Math.min(Math.max(to - from, Math.min(20, end)), end);
    const start = Math.min(Math.max(from + (to - from - span) / 2, 0), end - span);
    view = [start, start + span];
    draw();
  }
  const zoom = (factor, at = (view[0] + view[1]) / 2) => show(at - (at - view[0]) * factor, at + (view[1] - at) * factor);
  const move = (share) => { const by = share * (view[1] - view[0]); const to = Math.min(Math.max(view[0] + by, 0), end - (view[1] - view[0])); show(to, to + view[1] - view[0]); };

  function find() {
    const wanted = byId("intid").valueAsNumber;
    if (Number.isNaN(wanted)) return;
    const middle = (view[0] + view[1]) / 2;
    let best = null;
    // The next after the middle, or else the first of all.
    for (const start of [middle + (view[1] - view[0]) * .001, -1]) {
      for (const cpu of data.cpus) {
        for (let i = after(cpu.handled, 4, start); i < cpu.handled.length / 4; i++)
          if (cpu.handled[4 * i + 2] === wanted) { if (!best || cpu.handled[4 * i] < best.time) best = { time: cpu.handled[4 * i], cpu }; break; }
      }
      if (best) break;
    }
    if (!best) { byId("told").textContent = `No vCPU took ${nameOf(wanted)}.`; return; }
    const half = Math.min((view[1] - view[0]) / 2, end / 400);
    show(best.time - half, best.time + half);
    if (best.cpu.lane) lanesBox.scrollTop = best.cpu.lane.y - 40;
    byId("told").textContent = `${nameOf(wanted)}, taken by ${best.cpu.name} at ${timeText(best.time, 6)}`;
  }

  function tell(x, y) {
    const t = tOf(x), place = y - RULER + lanesBox.scrollTop, lane = lanes.find((one) => place >= one.y && place < one.y + one.h + GAP);
    if (!lane || x < labels || y < RULER) return;
    const slack = 3 / (width - labels) * (view[1] - view[0]);
    let said = "";
    if (lane.cpu) {
      const { handled, outputs, waiting } = lane.cpu;
      for (let i = after(handled, 4, t + slack) - 1, left = 40; i >= 0 && left; i--, left--) {
        const to = handled[4 * i + 1] < 0 ? end : handled[4 * i] + handled[4 * i + 1];
        if (to + slack >= t) {
          const held = handled[4 * i + 1] < 0 ? "to the end of the trace" : `for ${timeText(handled[4 * i + 1])}`;
          said += `; ${nameOf(handled[4 * i + 2])} from ${timeText(handled[4 * i], 6)} ${held}`;
        }
        if (handled[4 * i + 3] === 0) break;
      }
      const out = after(outputs, 2, t) - 1, wait = after(waiting, 2, t) - 1;
      const value = out < 0 ? 0 : outputs[2 * out + 1];
      said += `; IRQ ${value >> 1} FIQ ${value & 1}, ${wait < 0 ? 0 : waiting[2 * wait + 1]} waiting`;
    } else {
      said = `; ${after(lane.line.times, 1, t) & 1 ? "high" : "low"}`;
    }
    byId("told").textContent = `${timeText(t, 6)}, ${lane.name}${said}`;
  }

  const actions = { in: () => zoom(.5), out: () => zoom(2), left: () => move(-.5), right: () => move(.5), all: () => show(0, end), find,
    divergence: () => show(data.divergence - end / 1000, data.divergence + end / 1000) };
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
  byId("intid").addEventListener("keydown", (event) => { if (event.key === "Enter") find(); });
  byId("idle").addEventListener("change", arrange);
  const keys = { "+": "in", "=": "in", w: "in", "-": "out", s: "out", ArrowLeft: "left", a: "left", ArrowRight: "right", d: "right", 0: "all" };
  canvas.addEventListener("keydown", (event) => {
    if (keys[event.key] && !event.ctrlKey && !event.metaKey) { actions[keys[event.key]](); event.preventDefault(); }
  });
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY / 300), tOf(event.offsetX));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX || event.deltaY) / width);
    else return;
    event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoom(.25, tOf(event.offsetX)));
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event.offsetX); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) { tell(event.offsetX, event.offsetY); return; }
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event.offsetX);
    const now = [...fingers.values()];
    if (now.length === 1) move((before[0] - now[0]) / (width - labels));
    else zoom(Math.abs(before[0] - before[1]) / Math.max(Math.abs(now[0] - now[1]), 1), tOf((now[0] + now[1]) / 2));
  });
  for (const over of ["pointerup", "pointercancel"]) canvas.addEventListener(over, (event) => fingers.delete(event.pointerId));
  let chosen = null;
  const overviewTime = (event) => event.offsetX / overview.clientWidth * end;
  overview.addEventListener("pointerdown", (event) => { chosen = overviewTime(event); overview.setPointerCapture(event.pointerId); });
  overview.addEventListener("pointermove", (event) => { if (chosen !== null) { const t = overviewTime(event); show(Math.min(chosen, t), Math.max(chosen, t)); } });
  overview.addEventListener("pointerup", (event) => {
    const t = overviewTime(event), half = (view[1] - view[0]) / 2;
    if (chosen !== null && Math.abs(t - chosen) < end / 200) show(t - half, t + half);
    chosen = null;
  });
  lanesBox.addEventListener("scroll", draw);
  addEventListener("resize", resize);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", resize);
  arrange();
  paint();
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
