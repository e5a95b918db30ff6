// What the page does by itself: dark and light, tables that sort, charts and their legends, paper.
"use strict";
(() => {
  const root = document.documentElement;

  // Dark and light: as the system has it, until the button says otherwise; forgotten with the page.
  const dark = document.getElementById("dark");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => dark.setAttribute("aria-pressed", root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  dark.addEventListener("click", () => {
    root.dataset.theme = dark.getAttribute("aria-pressed") === "true" ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();

  // Tables: by number where there is one, else by text, upwards, downwards, as they came; what is empty stays last.
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
  const words = new Intl.Collator(undefined, { numeric: true });

  function compared(a, b) {
    const numbers = [a, b].map((cell) => cell.dataset.value);
    if (numbers[0] !== undefined && numbers[1] !== undefined) return numbers[0] - numbers[1];
    if (numbers[0] !== numbers[1]) return numbers[0] === undefined ? 1 : -1;
    return words.compare(a.textContent, b.textContent);
  }

  function sorted(rows, column, direction) {
    if (direction === "none") return rows;
    const [full, empty] = [[], []];
    for (const row of rows) (row.cells[column].textContent ? full : empty).push(row);
    const sign = direction === "ascending" ? 1 : -1;
    return [...full.sort((a, b) => sign * compared(a.cells[column], b.cells[column])), ...empty];
  }

  for (const table of document.querySelectorAll("table")) {
    const rows = [...table.tBodies[0].rows];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) =>
      heading.firstChild.addEventListener("click", () => {
        const direction = NEXT[heading.ariaSort];
        for (const other of headings) other.ariaSort = "none";
        heading.ariaSort = direction;
        table.tBodies[0].append(...sorted(rows, column, direction));
      }),
    );
  }

  // Charts: they take the page's ink, so dark, light and paper need no other drawing.
  const ink = { labelColor: "currentColor", titleColor: "currentColor" };
  const line = { domainColor: "currentColor", tickColor: "currentColor", gridColor: "currentColor" };
  const faint = { domainOpacity: 0.4, tickOpacity: 0.4, gridOpacity: 0.13 };
  const config = {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    axis: { ...ink, ...line, ...faint, labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal" },
    header: ink,
    legend: ink,
    text: { color: "currentColor" },
    title: { color: "currentColor" },
    view: { stroke: null },
  };
  // Vega's symbols, between -1 and 1.
  const SHAPES = {
    circle: "M-1,0A1,1 0 1 1 1,0A1,1 0 1 1 -1,0Z",
    square: "M-.9,-.9H.9V.9H-.9Z",
    diamond: "M0,-1L1,0L0,1L-1,0Z",
    cross: "M-.4,-1H.4V-.4H1V.4H.4V1H-.4V.4H-1V-.4H-.4Z",
    "triangle-up": "M0,-.9L1,.9H-1Z",
    "triangle-down": "M0,.9L1,-.9H-1Z",
    "triangle-right": "M.9,0L-.9,-1V1Z",
    "triangle-left": "M-.9,0L.9,-1V1Z",
  };

  function scale(view, name) {
    try {
      return view.scale(name);
    } catch {
      return undefined; // Vega throws where there is none
    }
  }

  function swatch(colour, shape) {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawn.setAttribute("viewBox", "-1.3 -1.3 2.6 2.6");
    drawn.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", SHAPES[shape] ?? SHAPES.square);
    path.setAttribute("fill", colour);
    path.setAttribute("stroke", colour);
    drawn.append(path);
    return drawn;
  }

  // A button a series: pressed while it is drawn.
  function addLegend(place, view) {
    const colour = scale(view, "color");
    const shape = scale(view, "shape");
    const hidden = new Set();
    for (const name of (colour ?? shape)?.domain() ?? []) {
      const button = document.createElement("button");
      button.type = "button";
      button.ariaPressed = "true";
      const text = document.createElement("bdi");
      text.append(name);
      button.append(swatch(colour?.(name) ?? "currentColor", shape?.(name)), text);
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        button.ariaPressed = String(!hidden.has(name));
        view.signal("hidden", [...hidden]).runAsync();
      });
      place.append(button);
    }
  }

  const GAP = 16;
  // Buttons take the place of the legend of series; that of dashes, which are no series, stays.
  const withoutSeries = ({ legends, ...vega }) => ({ ...vega, legends: (legends ?? []).filter((one) => one.strokeDash) });

  async function draw(figure) {
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const filters = (spec.params ?? []).some((param) => param.name === "hidden");
    const { view } = await vegaEmbed(figure.querySelector(".chart"), { ...spec, width: "container" }, {
      mode: "vega-lite",
      renderer: "svg",
      ast: true, // expressions are interpreted, for the page forbids eval
      actions: false,
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      config,
      patch: filters ? withoutSeries : {},
    });
    if (filters) addLegend(figure.querySelector(".legend"), view);
  }

  function undrawn(figure) {
    figure.querySelector(".chart").textContent = "This chart could not be drawn; its numbers are below.";
    figure.querySelector("details").open = true;
  }

  // A chart lies right below the one above it, however tall its neighbours are: it spans as many rows as it has pixels.
  const rows = new ResizeObserver((changes) => {
    for (const { target } of changes) target.style.gridRowEnd = `span ${target.offsetHeight + GAP}`;
  });
  for (const grid of document.querySelectorAll(".charts")) grid.style.gridAutoRows = "1px";

  const charts = [...document.querySelectorAll("figure")];
  for (const figure of charts) rows.observe(figure);
  const all = charts.map((figure) => draw(figure).catch(() => undrawn(figure)));
  Promise.all(all).then(() => (root.dataset.drawn = "true"));

  // Paper has no buttons: what is closed is opened for it.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
})();
