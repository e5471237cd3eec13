"use strict";
// One state (view, run left out, budget), one function for each part that shows it. All numbers were computed before:
// between the grid's budgets they are read off straight lines in log.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const grid = data.budgets.flops.map(Math.log);
  const coarse = data.budgets.coarse.map((i) => grid[i]);
  const state = { view: 0, without: -1, log: Math.log(data.start) };
  const charts = {};
  const view = () => data.views[state.view];

  // ---- numbers
  const interpolate = (xs, ys, x) => {
    let i = xs.findIndex((each) => each >= x - 1e-9);
    i = i < 0 ? xs.length - 1 : Math.max(i, 1);
    const [a, b] = [ys[i - 1], ys[i]];
    const t = (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
    // a value without a neighbour (unbounded, vanished) is none
    if (!(a > 0) || !(b > 0)) return t < 1e-9 ? a : t > 1 - 1e-9 ? b : null;
    return Math.exp(Math.log(a) + t * (Math.log(b) - Math.log(a)));
  };
  const at = (name, x) => view().front[name].map((ys) => interpolate(grid, ys, x));
  const leftOut = () => view().without.row.indexOf(state.without);
  const ratioOut = (name, x) => {
    const k = leftOut();
    return k < 0 ? null : interpolate(coarse, view().without[name][k], x);
  };
  const plainPower = (text) => text.replace(/e\+?(-?)0*(\d)/, "e$1$2");
  const count = (v) => {
    if (v === null || !isFinite(v)) return "not determined";
    if (v >= 0.9995e15 || v < 0.01) return plainPower(v.toExponential(2));
    for (const [size, suffix] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
      if (v >= 0.9995 * size) return `${+(v / size).toPrecision(3)}${suffix}`;
    return `${+v.toPrecision(3)}`;
  };
  const power = (v) => (v === null ? "not determined" : plainPower(v.toExponential(2)));
  const decimal = (v) => (v === null ? "not determined" : v.toPrecision(4));
  const span = ([, lo, hi], write) =>
    lo === null && hi === null ? "unbounded" : `${lo === null ? "0" : write(lo)} – ${hi === null ? "unbounded" : write(hi)}`;

  // ---- the answer at a budget
  function answer() {
    const x = state.log, flops = Math.exp(x);
    const writers = { params: count, tokens: count, ratio: count, loss: decimal, reach: power };
    const found = Object.fromEntries(Object.keys(writers).map((name) => [name, at(name, x)]));
    for (const [name, write] of Object.entries(writers)) {
      $(`v-${name}`).textContent = write(found[name][0]);
      $(`i-${name}`).textContent = span(found[name], write);
    }
    const perHour = data.devices[$("device").value] * clamp($("mfu"), 0.4) * 3600;
    const hours = found.reach.map((v) => (v === null ? null : v / perHour));
    $("v-hours").textContent = count(hours[0]);
    $("i-hours").textContent = span(hours, count);
    const price = parseFloat($("price").value);
    $("money").hidden = !(price >= 0);
    if (price >= 0) {
      const money = hours.map((v) => (v === null ? null : v * price));
      $("v-money").textContent = count(money[0]);
      $("i-money").textContent = span(money, count);
    }
    const n = ratioOut("N", x), l = ratioOut("loss", x);
    const out = leftOut() >= 0;
    document.querySelectorAll(".out").forEach((cell) => { cell.hidden = !out; });
    if (out) {
      const size = n === null ? null : n * found.params[0];
      const tokens = size === null ? null : flops / (6 * size);
      $("o-params").textContent = count(size);
      $("o-tokens").textContent = count(tokens);
      $("o-ratio").textContent = count(size === null ? null : tokens / size);
      $("o-loss").textContent = decimal(l === null ? null : l * found.loss[0]);
    }
    const text = `${power(flops)} FLOPs`;
    $("asked").textContent = text;
    $("budget").setAttribute("aria-valuetext", text);
    if (document.activeElement !== $("typed")) $("typed").value = power(flops);
    const far = interpolateFar(x);
    $("beyond").textContent = far > 0.05
      ? `This lies ${far.toFixed(1)} decades beyond the runs: the interval only knows how the law goes on.` : "";
    return `At ${text}: ${count(found.params[0])} parameters, interval ${span(found.params, count)}; ` +
      `${count(found.tokens[0])} tokens, interval ${span(found.tokens, count)}; loss ${decimal(found.loss[0])}, interval ` +
      `${span(found.loss, decimal)}. ${$("beyond").textContent}`;
  }
  const interpolateFar = (x) => {
    const i = Math.max(1, grid.findIndex((each) => each >= x - 1e-9));
    const t = (x - grid[i - 1]) / (grid[i] - grid[i - 1]);
    return view().far[i - 1] * (1 - t) + view().far[i] * t;
  };
  const clamp = (input, otherwise) => {
    const value = parseFloat(input.value);
    return value > 0 && value <= 1 ? value : otherwise;
  };

  // ---- the figures
  const zip = (columns) => columns[Object.keys(columns)[0]].map((_, i) =>
    Object.fromEntries(Object.keys(columns).map((name) => [name, columns[name][i]])));
  const runRows = () => zip(view().runs).map((run, i) => ({
    ...run, name: run.id, id: i, C: 6 * run.N * run.D, N_: count(run.N), D_: count(run.D), loss_: decimal(run.loss),
    fit_: decimal(run.fit), left_: `${run.left.toFixed(2)} %`,
    y: { params: run.N, tokens: run.D, ratio: run.D / run.N, loss: run.loss }[$("what").value],
    says: `${run.id}: N ${count(run.N)}, D ${count(run.D)}, loss ${decimal(run.loss)}`,
  }));
  const frontRows = () => {
    const [y, lo, hi] = view().front[$("what").value];
    // an unbounded end is drawn to the edge of the figure's own span
    return grid.map((x, i) => ({ C: Math.exp(x), y: y[i], lo: lo[i] || y[i], hi: hi[i] || y[i], far: view().far[i] }))
      .filter((row) => row.y > 0);
  };
  const outRows = () => (leftOut() < 0 ? [] : grid.map((x) => {
    const C = Math.exp(x), n = ratioOut("N", x) * at("params", x)[0], l = ratioOut("loss", x) * at("loss", x)[0];
    return { C, y: { params: n, tokens: C / (6 * n), ratio: C / (6 * n * n), loss: l }[$("what").value] };
  }).filter((row) => row.y > 0 && isFinite(row.y)));
  const atRow = () => {
    const [y, lo, hi] = at($("what").value, state.log);
    return y > 0 ? [{ C: Math.exp(state.log), y, lo: lo || y, hi: hi || y }] : [];
  };
  const sets = {
    fit: () => ({ curves: zip(view().curves), runs: runRows() }),
    frontier: () => ({ front: frontRows(), out: outRows(), runs: runRows(), at: atRow() }),
    residuals: () => ({ runs: runRows() }),
  };
  const put = (name, chosen) => {
    const chart = charts[name];
    if (!chart) return;
    const rows = sets[name]();
    for (const key of chosen || Object.keys(rows)) chart.data(key, rows[key]);
    chart.signal("chosen", state.without).runAsync();
  };

  const titles = { fit: "The runs and the law", frontier: "The best choice at each budget", residuals: "What the law leaves over" };
  async function draw() {
    for (const name of Object.keys(data.specs)) {
      const spec = { ...data.specs[name], datasets: sets[name]() };
      const made = await vegaEmbed(`#f-${name}`, spec, {
        mode: "vega-lite", renderer: "svg", logLevel: 1, // errors: a line without a point is none
        actions: { export: true, source: false, compiled: false, editor: false },
        downloadFileName: name, tooltip: { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" },
      });
      charts[name] = made.view;
      // vega-embed's menu is a picture without a name
      document.querySelector(`#f-${name} summary`)?.setAttribute("aria-label", `Save the figure "${titles[name]}"`);
      made.view.addEventListener("click", (_, item) => {
        const id = item && item.datum && item.datum.id;
        if (typeof id === "number") choose(id === state.without ? -1 : id);
      });
      performance.mark("figure"); // what benchmarks/report_page.py reads
    }
    document.documentElement.dataset.ready = performance.now();
  }

  // ---- what is chosen
  function names() {
    const menu = $("without");
    const known = new Set(view().without.row);
    menu.replaceChildren(new Option("none", "-1"), ...view().runs.id.map((id, i) => new Option(id, i)).filter((_, i) => known.has(i)));
    if (!known.has(state.without)) state.without = -1;
    menu.value = state.without;
  }
  function choose(row) {
    state.without = view().without.row.includes(row) ? row : -1;
    $("without").value = state.without;
    for (const name of Object.keys(charts)) put(name, name === "frontier" ? ["out"] : []);
    constants();
    speak(answer());
  }
  function constants() {
    const part = document.querySelector(`[data-view="${state.view}"] table.constants`);
    const k = leftOut();
    part.querySelectorAll(".out").forEach((cell) => { cell.hidden = k < 0; });
    part.querySelectorAll("td.out").forEach((cell, i) => {
      const value = k < 0 ? null : view().without.constants[k][i];
      cell.textContent = value === null ? "" : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? power(value) : decimal(value);
    });
    document.querySelectorAll("tr[data-row]").forEach((row) => {
      row.classList.toggle("left-out", +row.dataset.row === state.without);
    });
  }
  function show() {
    document.querySelectorAll("[data-view]").forEach((part) => { part.hidden = +part.dataset.view !== state.view; });
    names();
    for (const name of Object.keys(charts)) put(name);
    constants();
    return answer();
  }
  let wait;
  const speak = (text) => { clearTimeout(wait); wait = setTimeout(() => { $("spoken").textContent = text; }, 300); };

  // ---- inputs
  const pick = () => {
    const [set, law] = [$("set"), $("law")].map((menu) => (menu ? menu.value : null));
    let i = data.views.findIndex((each) => (set === null || each.set === set) && (law === null || each.law === law));
    if (i < 0) { // this law could not be fitted to this set
      i = data.views.findIndex((each) => set === null || each.set === set);
      if ($("law")) $("law").value = data.views[i].law;
    }
    state.view = i;
    speak(show());
  };
  for (const id of ["set", "law"]) if ($(id)) $(id).addEventListener("change", pick);
  $("without").addEventListener("change", (event) => choose(+event.target.value));
  const slider = $("budget");
  slider.min = (grid[0] / Math.LN10).toFixed(4);
  slider.max = (grid[grid.length - 1] / Math.LN10).toFixed(4);
  slider.value = state.log / Math.LN10;
  const move = (log) => {
    state.log = Math.min(Math.max(log, grid[0]), grid[grid.length - 1]);
    const said = answer();
    put("frontier", ["at"]);
    return said;
  };
  slider.addEventListener("input", () => move(slider.value * Math.LN10));
  slider.addEventListener("change", () => speak(answer()));
  const typed = $("typed");
  typed.addEventListener("change", () => {
    const asked = Number(typed.value.trim()), log = Math.log(asked);
    const good = asked > 0 && log >= grid[0] - 0.01 && log <= grid[grid.length - 1] + 0.01;
    typed.setAttribute("aria-invalid", String(!good));
    if (!good) { speak("This is no number inside the range."); return; }
    slider.value = log / Math.LN10;
    speak(move(log));
  });
  for (const id of ["device", "mfu", "price"]) $(id).addEventListener("input", () => answer());
  $("what").addEventListener("change", () => put("frontier"));
  document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));
  $("range-note").textContent = `(${power(Math.exp(grid[0]))} to ${power(Math.exp(grid[grid.length - 1]))})`;
  show();
  draw();
})();
