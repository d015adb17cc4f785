// Draws one slide's overlay with Bokeh from `tmeOverlay` (data.js) and `tmeFields` (field-N.js).
// Text is only ever set as text; nothing here evaluates or fetches anything.
"use strict";
(() => {
  const data = window.tmeOverlay;
  const Bokeh = window.Bokeh;
  if (!data || !Bokeh || !Bokeh.Plotting) return;
  Bokeh.set_log_level("warn");
  window.tmeFields = {};

  const INK = "#1d2733";
  const FIELD = "#0072B2";
  const WHITE = "#ffffff";
  const TENTH = 0.1;
  const byId = (id) => document.getElementById(id);

  // ---- figures --------------------------------------------------------------------------------

  // A view of width x height µm, widened on one axis so that the frame's shape does not distort it.
  function viewOf(element, width, height, margin) {
    const aspect = element.clientWidth / element.clientHeight;
    const w = Math.max(width, height * aspect) * margin;
    const h = w / aspect;
    return { x: [(width - w) / 2, (width + w) / 2], y: [(height + h) / 2, (height - h) / 2] };
  }

  function newFigure(view) {
    const figure = Bokeh.Plotting.figure({
      x_range: view.x, y_range: view.y, tools: "pan,wheel_zoom,tap,reset",
      active_scroll: "wheel_zoom", toolbar_location: null, sizing_mode: "stretch_both",
      x_axis_type: null, y_axis_type: null, min_border: 0, outline_line_color: null,
    });
    figure.add_layout(new Bokeh.ScaleBar({
      range: figure.x_range, dimensional: new Bokeh.MetricLength({ include: ["µm", "mm"] }), unit: "µm",
      location: "bottom_right", bar_length: 0.2, length_sizing: "adaptive", bar_line_width: 2,
      label_text_font_size: "12px", background_fill_color: WHITE, background_fill_alpha: 0.85,
      border_line_color: null, padding: 6, margin: 8,
    }));
    return figure;
  }

  const picture = (figure, item) =>
    figure.image_url({ url: [item.url], x: 0, y: 0, w: item.width, h: item.height });

  const everyOther = (list, start) => list.filter((_, i) => i % 2 === start);

  // Rings in whole µm, drawn with a pale edge so that they show on dark and light ground.
  function borders(figure, list, colour) {
    const xs = list.map((ring) => everyOther(ring, 0));
    const ys = list.map((ring) => everyOther(ring, 1));
    const plain = { xs, ys, fill_color: null };
    return [
      figure.patches({ ...plain, line_color: WHITE, line_width: 4, line_alpha: 0.75 }),
      figure.patches({ ...plain, line_color: colour, line_width: 1.8 }),
    ];
  }

  const show = (glyphs, visible) => glyphs.forEach((glyph) => { glyph.visible = visible; });

  // Running sums: steps in tenths of a µm become places in µm.
  function places(steps, start) {
    let sum = 0;
    return everyOther(steps, start).map((step) => (sum += step) * TENTH);
  }

  // ---- the whole slide ------------------------------------------------------------------------

  function fieldRectangles(figure) {
    const middle = (start, side) => data.fields.map((field) => field[start] + field[side] / 2);
    const corners = { x: data.fields.map((f) => f.x), y: data.fields.map((f) => f.y) };
    const rectangles = figure.rect({
      x: middle("x", "width"), y: middle("y", "height"),
      width: data.fields.map((f) => f.width), height: data.fields.map((f) => f.height),
      fill_color: WHITE, fill_alpha: 0.12, line_color: FIELD, line_width: 2.5,
      nonselection_fill_alpha: 0.12, nonselection_line_alpha: 1, nonselection_line_color: FIELD,
      selection_fill_color: FIELD, selection_fill_alpha: 0.18, selection_line_color: FIELD, selection_line_width: 4,
    });
    const labels = figure.text({
      ...corners, text: data.fields.map((f) => String(f.number)), x_offset: 4, y_offset: 4,
      text_baseline: "top", text_font_size: "14px", text_font_style: "bold", text_color: FIELD,
      background_fill_color: WHITE, background_fill_alpha: 0.85,
    });
    rectangles.data_source.selected.change.connect(() => {
      const [index] = rectangles.data_source.selected.indices;
      if (index !== undefined) openField(index + 1);
    });
    return { rectangles, glyphs: [rectangles, labels] };
  }

  function drawOverview() {
    const element = byId("overview");
    const figure = newFigure(viewOf(element, data.overview.width, data.overview.height, 1.04));
    picture(figure, data.overview);
    const layers = { tissue: [], density: [], fields: [], artefact: {}, region: [] };
    if (data.density) layers.density = [picture(figure, data.density)];
    data.artefacts.forEach((item) => { layers.artefact[item.name] = [picture(figure, item)]; });
    layers.tissue = borders(figure, data.tissue, INK);
    const boxes = document.querySelectorAll("#overview-controls input");
    boxes.forEach((box) => {
      if (box.dataset.layer === "region") {
        const list = data.regions[Number(box.dataset.index)];
        layers.region.push(borders(figure, list, box.dataset.colour));
      }
    });
    let rectangles = null;
    if (data.fields.length) ({ rectangles, glyphs: layers.fields } = fieldRectangles(figure));
    boxes.forEach((box) => {
      const { layer, name, index } = box.dataset;
      const glyphs = name ? layers[layer][name] : index ? layers[layer][Number(index)] : layers[layer];
      show(glyphs, box.checked);
      box.addEventListener("change", () => show(glyphs, box.checked));
    });
    byId("overview-reset").addEventListener("click", () => figure.reset.emit());
    Bokeh.Plotting.show(figure, element);
    return rectangles;
  }

  // ---- fields at full resolution --------------------------------------------------------------

  let current = 0;
  let outlines = [];
  const hiddenClasses = new Set();

  function outlineGroup(figure, group) {
    const columns = {
      xs: group.rings.map((ring) => places(ring, 0)), ys: group.rings.map((ring) => places(ring, 1)),
      kind: group.rings.map(() => group.title), id: group.id,
      prob: group.prob.map((value) => (value === null ? "not given" : value.toFixed(2))),
      area: group.area.map((value) => (value === null ? "not given" : `${value.toFixed(1)} µm²`)),
    };
    const source = new Bokeh.ColumnDataSource({ data: columns });
    const from = { xs: { field: "xs" }, ys: { field: "ys" }, source, line_join: "round" };
    const halo = figure.patches({ ...from, fill_color: null, line_color: INK, line_width: 3.4, line_alpha: 0.55 });
    const line = figure.patches({
      ...from, fill_color: group.colour, fill_alpha: 0, line_color: group.colour, line_width: 1.7,
      hover_fill_alpha: 0.35, hover_fill_color: group.colour, hover_line_color: WHITE,
    });
    figure.add_tools(new Bokeh.HoverTool({
      renderers: [line], point_policy: "follow_mouse",
      tooltips: [["class", "@kind"], ["probability", "@prob"], ["area", "@area"], ["id", "@id"]],
    }));
    return { name: group.name, glyphs: [halo, line] };
  }

  function refresh() {
    const on = byId("outlines").checked;
    outlines.forEach(({ name, glyphs }) => show(glyphs, on && !hiddenClasses.has(name)));
  }

  function classControls(groups) {
    const labels = groups.map((group) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      const mark = document.createElement("i");
      box.type = "checkbox";
      box.checked = !hiddenClasses.has(group.name);
      mark.style.background = group.colour;
      box.addEventListener("change", () => {
        if (box.checked) hiddenClasses.delete(group.name);
        else hiddenClasses.add(group.name);
        refresh();
      });
      label.append(box, mark, `${group.title} ${group.count}`);
      return label;
    });
    byId("classes").replaceChildren(...labels);
  }

  function drawField(number) {
    if (number !== current) return;
    const field = window.tmeFields[number];
    const element = byId("field");
    element.replaceChildren();
    const figure = newFigure(viewOf(element, field.width, field.height, 1));
    picture(figure, field);
    outlines = field.groups.map((group) => outlineGroup(figure, group));
    classControls(field.groups);
    refresh();
    byId("field-reset").onclick = () => figure.reset.emit();
    Bokeh.Plotting.show(figure, element);
  }

  let rectangles = null;

  function openField(number) {
    if (number === current) return;
    current = number;
    document.querySelectorAll("#tabs button").forEach((tab) => {
      tab.setAttribute("aria-pressed", String(Number(tab.dataset.field) === number));
    });
    if (rectangles) rectangles.data_source.selected.indices = [number - 1];
    if (window.tmeFields[number]) {
      drawField(number);
      return;
    }
    const script = document.createElement("script");
    script.src = `field-${number}.js`;
    script.addEventListener("load", () => drawField(number));
    document.head.append(script);
  }

  // ---- the histogram the DAB threshold was read from -------------------------------------------

  function drawHistogram() {
    const { edges, counts, threshold, low, high, own } = data.histogram;
    const filled = counts.reduce((list, count, index) => (count ? [...list, index] : list), []);
    const shown = [edges[filled[0] ?? 0], edges[(filled.at(-1) ?? counts.length - 1) + 1]];
    const most = Math.max(1, ...counts);
    const figure = Bokeh.Plotting.figure({
      tools: "", toolbar_location: null, sizing_mode: "stretch_both", outline_line_color: null,
      x_axis_label: "DAB optical density", y_axis_label: "count", y_axis_type: "log",
      y_range: new Bokeh.Range1d({ start: 0.5, end: 1.5 * most }),
      x_range: new Bokeh.Range1d({
        start: Math.min(shown[0], -0.1), end: Math.max(shown[1], (threshold ?? 0) + 0.2),
      }),
    });
    if (low !== null && high !== null) {
      figure.add_layout(new Bokeh.BoxAnnotation({
        left: low, right: high, fill_color: "#D55E00", fill_alpha: 0.2, line_color: null,
      }));
    }
    figure.quad({
      left: filled.map((index) => edges[index]), right: filled.map((index) => edges[index + 1]),
      top: filled.map((index) => counts[index]), bottom: 0.5,
      fill_color: "#8b98a3", line_color: WHITE, line_width: 0.5,
    });
    if (threshold !== null) {
      figure.add_layout(new Bokeh.Span({
        location: threshold, dimension: "height", line_color: "#D55E00", line_width: 2,
      }));
    }
    if (own !== null) {
      figure.add_layout(new Bokeh.Span({
        location: own, dimension: "height", line_color: "#D55E00", line_width: 1.5, line_dash: "dashed",
      }));
    }
    Bokeh.Plotting.show(figure, byId("histogram"));
  }

  // ---- start ----------------------------------------------------------------------------------

  byId("waiting").remove();
  rectangles = drawOverview();
  if (data.histogram) drawHistogram();
  if (data.fields.length) {
    document.querySelectorAll("#tabs button").forEach((tab) => {
      tab.addEventListener("click", () => openField(Number(tab.dataset.field)));
    });
    byId("outlines").addEventListener("change", refresh);
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "o" || event.ctrlKey || event.metaKey || event.altKey) return;
      byId("outlines").checked = !byId("outlines").checked;
      refresh();
    });
    openField(1);
  }
})();
