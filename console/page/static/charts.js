// Draws the figures of a page with plotly.js, which is fetched only when a chart comes into view. The sentence and the
// table beside a chart say the same.
"use strict";
(() => {
  const { plotly: source, styles } = document.currentScript.dataset;
  const drawn = new Map();
  let library;

  const plotly = () => (library ??= new Promise((done, failed) => {
    for (const id of styles.split(" ").filter(Boolean)) {
      document.head.append(Object.assign(document.createElement("meta"), { id, name: "no-style" }));
    }
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => done(window.Plotly);
    script.onerror = failed;
    document.head.append(script);
  }));

  function coloured(figure) {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { gridcolor: of("line"), zerolinecolor: of("line"), linecolor: of("line"), tickfont: { color: of("soft") }, fixedrange: true };
    const titled = (said) => ({ ...axis, ...said, title: said?.title ? { text: said.title, font: { color: of("soft"), size: 12 } } : undefined });
    const tones = { run: "series0", hold: "b-hold" };
    return {
      data: figure.data.map(({ tone, ...trace }) => ({ ...trace, marker: { color: of(tones[tone] ?? tone), line: { width: 0 } } })),
      layout: {
        ...figure.layout,
        xaxis: titled(figure.layout.xaxis),
        yaxis: titled(figure.layout.yaxis),
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(document.body).fontFamily, color: of("ink"), size: 12 },
        margin: { l: 56, r: 12, t: figure.layout.showlegend ? 34 : 12, b: 40 },
        legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" },
        hoverlabel: { bgcolor: of("card"), bordercolor: of("line"), font: { color: of("ink") } },
        transition: { duration: 0 },
      },
    };
  }

  async function draw(chart, anew) {
    const text = chart.querySelector("script")?.textContent;
    const plot = chart.querySelector(".plot");
    if (!text || !plot || (!anew && drawn.get(plot) === text)) return;
    drawn.set(plot, text);
    const Plotly = await plotly();
    const figure = coloured(JSON.parse(text));
    plot.classList.add("on");
    await Plotly.react(plot, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  }

  const seen = new IntersectionObserver((entries) => {
    for (const one of entries) if (one.isIntersecting) draw(one.target, false);
  }, { rootMargin: "200px" });
  const watched = new WeakSet();
  function look() {
    for (const chart of document.querySelectorAll("[data-chart]")) {
      if (watched.has(chart)) {
        if (drawn.has(chart.querySelector(".plot"))) draw(chart, false);
      } else {
        watched.add(chart);
        seen.observe(chart);
      }
    }
  }
  document.addEventListener("cohortstream:fresh", look);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of document.querySelectorAll("[data-chart]")) if (drawn.has(chart.querySelector(".plot"))) draw(chart, true);
  });
  look();
})();
