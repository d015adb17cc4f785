// Draws the report's charts with Bokeh from the page's own data, and makes its tables sort, filter and download.
// Text is only ever set as text; nothing here evaluates or fetches anything.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const NARROW = 520;
  const IDLE_MS = 30;
  const FEWEST_BARS = 9;

  const css = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();
  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // ---- charts: what all share -----------------------------------------------------------------

  const Bokeh = window.Bokeh;
  if (Bokeh) Bokeh.set_log_level("error");

  const xAxis = (figure) => figure.xaxes[0];
  const yAxis = (figure) => figure.yaxes[0];

  function newFigure(options) {
    const figure = Bokeh.Plotting.figure({
      sizing_mode: "stretch_width", tools: "", toolbar_location: null, min_border_top: 8, min_border_right: 10,
      background_fill_color: null, border_fill_color: null, outline_line_color: null, ...options,
    });
    for (const axis of [xAxis(figure), yAxis(figure)]) {
      axis.axis_line_color = css("line-strong");
      axis.major_tick_line_color = css("line-strong");
      axis.minor_tick_line_color = null;
      axis.major_label_text_color = css("quiet");
      axis.major_label_text_font_size = "12px";
      axis.axis_label_text_color = css("quiet");
      axis.axis_label_text_font_size = "12px";
      axis.axis_label_text_font_style = "normal";
    }
    figure.xgrids[0].grid_line_color = null;
    figure.ygrids[0].grid_line_color = css("line");
    return figure;
  }

  function ticks(axis, places) {
    axis.ticker = new Bokeh.FixedTicker({ ticks: places.map(([place]) => place), minor_ticks: [] });
    axis.major_label_overrides = new Map(places);
  }

  const source = (columns) => new Bokeh.ColumnDataSource({ data: columns });
  const column = (rows, name) => rows.map((row) => row[name]);

  function hover(figure, renderers, mode = "mouse") {
    figure.add_tools(new Bokeh.HoverTool({
      renderers, mode, point_policy: "snap_to_data", tooltips: [["", "@label"], ["", "@text"]],
    }));
  }

  const callColour = (call) => css(`call-${call || "within_noise"}`) || css("call-within_noise");

  function rule(figure, dimension, location, dash = []) {
    figure.add_layout(new Bokeh.Span({
      dimension, location, line_color: css("line-strong"), line_width: 1, line_dash: dash,
    }));
  }

  // A legend names what its chart holds and nothing else.
  const MARKS = {
    slope: (plot) => column(plot.strokes, "call"),
    waterfall: (plot) => plot.bars.flatMap((bar) => (
      bar.value === null ? ["cross"] : [plot.by_response ? bar.group : bar.call, bar.call === "within_noise" ? bar.call : ""]
    )).concat(plot.rc ? ["band"] : []),
  };

  function keepLegend(place, plot) {
    const marks = new Set((MARKS[place.dataset.chart] || (() => []))(plot));
    place.closest("figure").querySelectorAll("[data-mark]").forEach((item) => { item.hidden = !marks.has(item.dataset.mark); });
  }

  // ---- slope ----------------------------------------------------------------------------------

  function slope(place, plot) {
    const room = plot.labelled ? Math.min(0.6, 110 / Math.max(120, place.clientWidth - 200)) : 0.02;
    const figure = newFigure({
      height: 340, x_range: [-0.07, 1.07 + room], y_range: [plot.axis.low, plot.axis.high],
    });
    ticks(yAxis(figure), plot.axis.ticks);
    figure.ygrids[0].ticker = yAxis(figure).ticker;
    ticks(xAxis(figure), [[0, data.pair[0]], [1, data.pair[1]]]);
    xAxis(figure).major_label_text_color = css("ink");
    xAxis(figure).axis_line_color = null;
    if (plot.axis.zero !== null) rule(figure, "width", plot.axis.zero, [2, 3]);
    // Grey first, so that what was called lies on top.
    const strokes = [...plot.strokes].sort((a, b) => ordered(a.call) - ordered(b.call));
    const colour = strokes.map((stroke) => callColour(stroke.call));
    const shared = { label: column(strokes, "label"), text: column(strokes, "text"), colour };
    const alpha = strokes.length > 40 ? 0.6 : 0.9;
    const lines = figure.segment({
      x0: { value: 0 }, x1: { value: 1 }, y0: { field: "pre" }, y1: { field: "post" },
      source: source({
        ...shared, pre: column(strokes, "pre"), post: column(strokes, "post"),
        dash: strokes.map((stroke) => (stroke.call === "not_evaluable" ? "dashed" : "solid")),
      }),
      line_color: { field: "colour" }, line_width: 1.8, line_alpha: alpha, line_dash: { field: "dash" },
      hover_line_width: 4, hover_line_alpha: 1,
    });
    const twice = (list) => [...list, ...list];
    const points = figure.scatter({
      x: { field: "x" }, y: { field: "y" }, size: strokes.length > 40 ? 5 : 7,
      source: source({
        label: twice(shared.label), text: twice(shared.text), colour: twice(colour),
        x: [...strokes.map(() => 0), ...strokes.map(() => 1)],
        y: [...column(strokes, "pre"), ...column(strokes, "post")],
      }),
      fill_color: { field: "colour" }, line_color: css("card"), line_width: 1,
    });
    hover(figure, [lines, points]);
    if (plot.labelled) labels(figure, strokes);
    return figure;
  }

  const ordered = (call) => (call === "increase" || call === "decrease" ? 1 : 0);

  function labels(figure, strokes) {
    figure.segment({
      x0: 1.02, x1: 1.045, y0: column(strokes, "post"), y1: column(strokes, "label_at"),
      line_color: css("line-strong"),
    });
    figure.text({
      x: strokes.map(() => 1.055), y: column(strokes, "label_at"), text: column(strokes, "label").map(short),
      text_baseline: "middle", text_font_size: "12px", text_color: css("ink"),
    });
  }

  const short = (label) => (label.length > 14 ? `${label.slice(0, 13)}…` : label);

  // ---- waterfall ------------------------------------------------------------------------------

  function waterfall(place, plot) {
    const bars = plot.bars;
    const narrow = place.clientWidth / Math.max(bars.length, 1) < 17;
    const aside = Math.max(0, (FEWEST_BARS - bars.length) / 2);
    const figure = newFigure({
      height: 340, x_range: [-0.7 - aside, bars.length - 0.3 + aside], y_range: [plot.axis.low, plot.axis.high],
    });
    ticks(yAxis(figure), plot.axis.ticks);
    figure.ygrids[0].ticker = yAxis(figure).ticker;
    xAxis(figure).axis_line_color = null;
    xAxis(figure).major_tick_line_color = null;
    ticks(xAxis(figure), narrow ? [] : bars.map((bar, index) => [index, short(bar.label)]));
    xAxis(figure).major_label_orientation = bars.length > 4 ? Math.PI / 2.6 : 0;
    if (narrow) xAxis(figure).axis_label = `${bars.length} patients, largest rise first`;
    if (plot.rc) {
      figure.add_layout(new Bokeh.BoxAnnotation({
        bottom: -plot.rc, top: plot.rc, fill_color: css("quiet"), fill_alpha: 0.1, line_color: null, level: "underlay",
      }));
    }
    rule(figure, "width", 0);
    const known = bars.map((bar, x) => ({ ...bar, x })).filter((bar) => bar.value !== null);
    const hollow = (bar) => bar.call === "within_noise" || bar.call === "not_evaluable";
    const colour = known.map((bar) => (plot.by_response ? css(`group-${bar.group}`) : callColour(bar.call)));
    const columns = Object.fromEntries(["x", "value", "label", "text"].map((name) => [name, column(known, name)]));
    const drawn = figure.vbar({
      x: { field: "x" }, top: { field: "value" }, bottom: 0, width: 0.78,
      source: source({ ...columns, colour, fill: known.map((bar) => (hollow(bar) ? 0.14 : 0.95)) }),
      fill_color: { field: "colour" }, fill_alpha: { field: "fill" }, line_color: { field: "colour" }, line_width: 1.2,
    });
    const ends = known.filter((bar) => bar.low !== null && bar.high !== null);
    figure.segment({
      x0: column(ends, "x"), x1: column(ends, "x"), y0: column(ends, "low"), y1: column(ends, "high"),
      line_color: css("ink"), line_alpha: 0.65, line_width: 1.2,
    });
    const without = bars.map((bar, x) => ({ ...bar, x })).filter((bar) => bar.value === null);
    const crosses = figure.scatter({
      x: { field: "x" }, y: { field: "y" }, marker: "x", size: narrow ? 4 : 8, line_color: css("quiet"), line_width: 1.6,
      source: source({
        x: column(without, "x"), y: without.map(() => 0), label: column(without, "label"), text: column(without, "text"),
      }),
    });
    hover(figure, [drawn, crosses]);
    return figure;
  }

  // ---- forest ---------------------------------------------------------------------------------

  function forest(place, plot) {
    const narrow = place.clientWidth < NARROW;
    const rows = plot.effects.map((effect, index) => ({ ...effect, y: -index }));
    const name = (row) => (row.subset ? `${row.label}, ${row.subset}` : row.label);
    // The rows of a metric follow each other, so a subset needs no more than its own name.
    const brief = (row) => row.subset || row.label;
    const figure = newFigure({
      height: rows.length * (narrow ? 40 : 26) + 48,
      x_range: [plot.axis.low, plot.axis.high], y_range: [-rows.length + 0.35, narrow ? 0.9 : 0.65],
    });
    figure.ygrids[0].grid_line_color = null;
    ticks(xAxis(figure), plot.axis.ticks);
    yAxis(figure).axis_line_color = null;
    yAxis(figure).major_tick_line_color = null;
    yAxis(figure).major_label_text_color = css("ink");
    ticks(yAxis(figure), narrow ? [] : rows.map((row) => [row.y, brief(row)]));
    rule(figure, "height", plot.none, [4, 3]);
    if (narrow) {
      figure.text({
        x: plot.axis.low, y: rows.map((row) => row.y), y_offset: -8, text: rows.map((row) => `${brief(row)}: ${row.text}`),
        text_font_size: "12px", text_color: rows.map((row) => css(row.subset ? "quiet" : "ink")),
      });
    } else {
      figure.add_layout(rightColumn(rows.map((row) => [row.y, `${row.text}   n ${row.n}`])), "right");
    }
    const known = rows.filter((row) => row.at !== null);
    const intervals = known.filter((row) => row.low !== null && row.high !== null);
    figure.segment({
      x0: column(intervals, "low"), x1: column(intervals, "high"), y0: column(intervals, "y"), y1: column(intervals, "y"),
      line_color: css("ink"), line_width: 1.6,
    });
    const points = figure.scatter({
      x: { field: "at" }, y: { field: "y" }, marker: "square", size: { field: "size" }, line_color: css("ink"), line_width: 1.4,
      fill_color: { field: "fill" },
      source: source({
        at: column(known, "at"), y: column(known, "y"), label: known.map(name),
        size: known.map((row) => (row.low === null ? 5 : row.subset ? 7 : 9)),
        text: known.map((row) => `${row.text}; n ${row.n}; p ${row.p}`),
        fill: known.map((row) => css(row.subset || row.low === null ? "card" : "ink")),
      }),
    });
    hover(figure, [points]);
    return figure;
  }

  function rightColumn(places) {
    const axis = new Bokeh.LinearAxis({
      axis_line_color: null, major_tick_line_color: null, minor_tick_line_color: null,
      major_label_text_color: css("ink"), major_label_text_font_size: "12px",
    });
    ticks(axis, places);
    return axis;
  }

  // ---- Kaplan–Meier ---------------------------------------------------------------------------

  function survival(place, plot) {
    const border = place.clientWidth < NARROW ? 92 : 110;
    const last = Math.max(...plot.curves.flatMap((curve) => curve.days), plot.times[plot.times.length - 1]);
    const x = new Bokeh.Range1d({ start: -0.02 * last, end: 1.03 * last });
    const figure = newFigure({ height: 300, x_range: x, y_range: [-3, 103], min_border_left: border });
    ticks(yAxis(figure), [0, 25, 50, 75, 100].map((share) => [share, `${share} %`]));
    figure.ygrids[0].ticker = yAxis(figure).ticker;
    ticks(xAxis(figure), plot.times.map((time) => [time, String(time)]));
    xAxis(figure).axis_label = "Days from the on-treatment biopsy";
    plot.curves.forEach((curve) => drawCurve(figure, curve));
    return new Bokeh.Column({ children: [figure, atRisk(plot, x, border)], sizing_mode: "stretch_width", spacing: 0 });
  }

  const groupColour = (group) => (group === "all" ? css("ink") : callColour(group));
  const DASHES = { increase: "solid", decrease: "dashed", within_noise: "dotdash", all: "solid" };

  function drawCurve(figure, curve) {
    const colour = groupColour(curve.group);
    const percent = (list) => list.map((share) => 100 * share);
    figure.varea_step({
      x: curve.days, y1: percent(curve.lows), y2: percent(curve.highs), step_mode: "after", fill_color: colour, fill_alpha: 0.1,
    });
    const steps = figure.step({
      x: { field: "x" }, y: { field: "y" }, mode: "after", line_color: colour, line_width: 2.2, line_dash: DASHES[curve.group],
      source: source({
        x: curve.days, y: percent(curve.shares), label: curve.days.map(() => curve.title),
        text: curve.days.map((day, i) => `day ${day}: ${Math.round(100 * curve.shares[i])} %`),
      }),
    });
    figure.scatter({
      x: curve.censored.map(([day]) => day), y: curve.censored.map(([, share]) => 100 * share), marker: "dash",
      angle: Math.PI / 2, size: 9, line_color: colour, line_width: 1.6,
    });
    hover(figure, [steps]);
  }

  function atRisk(plot, x, border) {
    const rows = plot.curves.map((curve, index) => ({ ...curve, y: -index }));
    const figure = newFigure({
      height: 22 * rows.length + 30, x_range: x, y_range: [-rows.length + 0.4, 1.4], min_border_left: border,
      min_border_bottom: 0,
    });
    figure.ygrids[0].grid_line_color = null;
    xAxis(figure).visible = false;
    yAxis(figure).axis_line_color = null;
    yAxis(figure).major_tick_line_color = null;
    ticks(yAxis(figure), [[1, "At risk"], ...rows.map((row) => [row.y, row.title])]);
    rows.forEach((row) => figure.text({
      x: plot.times, y: plot.times.map(() => row.y), text: row.at_risk.map(String), text_align: "center",
      text_baseline: "middle", text_font_size: "12px", text_color: groupColour(row.group),
    }));
    return figure;
  }

  // ---- drawing when needed --------------------------------------------------------------------

  const DRAWERS = { slope, waterfall, forest, survival };
  const views = new Map();

  function plotOf(place) {
    const { chart, key } = place.dataset;
    if (chart === "forest" || chart === "survival") return data[chart][key];
    return (data.metrics[key] || {})[chart];
  }

  async function draw(place) {
    if (!Bokeh || views.has(place)) return;
    const plot = plotOf(place);
    if (!plot) return;
    views.set(place, null);
    place.replaceChildren();
    keepLegend(place, plot);
    const view = await Bokeh.Plotting.show(DRAWERS[place.dataset.chart](place, plot), place);
    views.set(place, view);
    place.dataset.drawn = place.dataset.key;
  }

  function clear(place) {
    const view = views.get(place);
    if (view) view.remove();
    views.delete(place);
    place.replaceChildren();
    delete place.dataset.drawn;
  }

  const charts = () => [...document.querySelectorAll("[data-chart]")].filter((place) => place.offsetParent !== null);
  const redraw = () => { [...views.keys()].forEach(clear); charts().forEach(watch); drawRest(); };

  const watcher = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      watcher.unobserve(entry.target);
      draw(entry.target);
    });
  }, { rootMargin: "300px" });
  const watch = (place) => watcher.observe(place);

  // What is out of sight is drawn one by one while nobody waits, for the printer and for quick scrolling.
  function drawRest() {
    const next = charts().find((place) => !views.has(place) && plotOf(place));
    if (next) draw(next).then(() => setTimeout(drawRest, IDLE_MS));
    else document.body.dataset.ready = "yes";
  }

  // ---- tables ---------------------------------------------------------------------------------

  const rawValue = (cell) => (cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent.trim());
  const bodyRows = (table) => [...table.tBodies[0].rows];

  function compare(a, b) {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  }

  function sortBy(table, index, button) {
    const header = button.closest("th");
    const down = header.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = bodyRows(table).map((row) => ({ row, key: rawValue(row.cells[index]) }));
    // What is missing stays last either way.
    keyed.sort((a, b) => (down && a.key !== "" && b.key !== "" ? -1 : 1) * compare(a.key, b.key));
    table.tBodies[0].append(...keyed.map(({ row }) => row));
  }

  // As tme writes its tables: text that a spreadsheet would run gets an apostrophe.
  function csvCell(cell) {
    const text = cell.textContent.replace(/\s+/g, " ").trim();
    const value = cell.dataset.value !== undefined ? cell.dataset.value : text;
    const number = cell.dataset.value !== undefined && value !== "" && Number.isFinite(Number(value));
    const safe = !number && /^[\s\u00a0\u200b\ufeff]*[=+\-@\t\r＝＋－＠]|^'/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  function csvText(table) {
    const shown = bodyRows(table).filter((row) => !row.hidden);
    return [table.tHead.rows[0], ...shown]
      .map((row) => [...row.cells].filter((cell) => cell.dataset.csv !== "no").map(csvCell).join(",")).join("\r\n") + "\r\n";
  }

  function download(table) {
    const url = URL.createObjectURL(new Blob([csvText(table)], { type: "text/csv" }));
    element("a", { href: url, download: `${table.dataset.table}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  function filterBar(table) {
    const count = element("span", { className: "quiet" });
    const input = element("input", { type: "search", placeholder: "Filter rows", ariaLabel: "Filter rows" });
    const choices = table.dataset.choices ? JSON.parse(table.dataset.choices) : [];
    const select = element("select", { ariaLabel: "Show" }, choices.map(([value, title]) => element("option", { value, textContent: title })));
    if (table.dataset.first) select.value = table.dataset.first;
    const apply = () => {
      const words = input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      bodyRows(table).forEach((row) => {
        const text = row.textContent.toLocaleLowerCase();
        const kinds = (row.dataset.kinds || "").split(" ");
        row.hidden = !words.every((word) => text.includes(word)) || (select.value !== "" && !kinds.includes(select.value));
      });
      const shown = bodyRows(table).filter((row) => !row.hidden).length;
      count.textContent = `${shown} of ${bodyRows(table).length}`;
    };
    input.addEventListener("input", apply);
    select.addEventListener("change", apply);
    apply();
    return [...(choices.length ? [select] : []), input, count];
  }

  function enhance(table) {
    [...table.tHead.rows[0].cells].forEach((header, index) => {
      if (header.dataset.csv === "no") return;
      const button = element("button", { type: "button", className: "sort", title: "Sort" });
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sortBy(table, index, button));
    });
    const save = element("button", { type: "button", textContent: "CSV", title: "Download this table" });
    save.addEventListener("click", () => download(table));
    const bar = element("div", { className: "bar" }, [...(bodyRows(table).length > 8 ? filterBar(table) : []), save]);
    (table.closest(".wide") || table).before(bar);
  }

  // ---- metrics without a section of their own -------------------------------------------------

  function textCell(text, value, className = "") {
    const cell = element("td", { textContent: text, className });
    if (value !== undefined) cell.dataset.value = value === null ? "" : String(value);
    return cell;
  }

  function changeRow(change) {
    const judged = change.call !== "";
    const [value, text, interval] = judged
      ? [change.log2, change.fold, change.interval] : [change.difference, change.delta, change.delta_interval];
    const cell = textCell(text, value, "number");
    if (interval) cell.append(element("small", { textContent: interval }));
    const call = judged ? data.calls[change.call] || change.call : "–";
    return element("tr", {}, [
      textCell(change.label), ...(data.answers ? [textCell(change.response || "–")] : []), textCell(change.compartment),
      textCell(change.pre_text, change.pre, "number"), textCell(change.post_text, change.post, "number"),
      cell, textCell(call), textCell(change.note, undefined, "note"),
    ]);
  }

  function showMetric(name) {
    const metric = data.metrics[name];
    const box = document.getElementById("other");
    box.querySelector("h3").textContent = metric.unit ? `${metric.title}, ${metric.unit}` : metric.title;
    box.querySelectorAll("[data-chart]").forEach((place) => {
      clear(place);
      place.dataset.key = name;
      place.closest("figure").hidden = !metric[place.dataset.chart];
      place.setAttribute("aria-label", `${place.dataset.chart === "slope" ? "Slope plot" : "Waterfall"} of ${metric.title}`);
      draw(place);
    });
    const [slopeNote, waterfallNote] = box.querySelectorAll("figcaption small");
    slopeNote.textContent = [metric.unit, metric.slope && metric.slope.axis.log ? "logarithmic" : "linear"].filter(Boolean).join(", ");
    const known = metric.waterfall && metric.waterfall.bars.some((bar) => bar.low !== null);
    waterfallNote.textContent = (metric.judged ? "fold" : "difference") + (known ? ", with 95 % interval; intervals that leave the picture are cut at its edge" : "");
    box.querySelector(".nothing").hidden = Boolean(metric.slope);
    box.querySelector(".unfit").hidden = Boolean(!metric.slope || metric.waterfall);
    const table = box.querySelector("table");
    table.dataset.table = name;
    table.tBodies[0].replaceChildren(...metric.changes.map(changeRow));
  }

  // ---- start ----------------------------------------------------------------------------------

  document.body.classList.add("alive");
  const chooser = document.getElementById("metric");
  if (chooser) {
    chooser.addEventListener("change", () => showMetric(chooser.value));
    const drawable = [...chooser.options].find((option) => data.metrics[option.value].waterfall);
    if (drawable) chooser.value = drawable.value;
    showMetric(chooser.value);
  }
  document.querySelectorAll("table[data-table]").forEach(enhance);
  document.querySelectorAll("select[data-panels]").forEach((select) => {
    const apply = () => {
      document.querySelectorAll(`[data-panel="${select.dataset.panels}"]`).forEach((panel, index) => {
        panel.hidden = String(index) !== select.value;
      });
      charts().forEach(watch);
    };
    select.addEventListener("change", apply);
    apply();
  });
  charts().forEach(watch);
  if (Bokeh) setTimeout(drawRest, 200);
  else document.body.classList.add("without-charts");

  let width = window.innerWidth;
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (window.innerWidth !== width) redraw();
      width = window.innerWidth;
    }, 200);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
  });
})();
