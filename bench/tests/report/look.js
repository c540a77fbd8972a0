// Looks at the page as it is laid out and writes what is wrong with it to <pre id="seen">.
(() => {
  const problems = [];
  const numbers = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  // WCAG 2.2, relative luminance and contrast.
  const luminance = ([r, g, b]) => {
    const linear = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = numbers(getComputedStyle(document.body).backgroundColor);

  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
    problems.push(`the page is ${document.documentElement.scrollWidth} px wide and has to be scrolled sideways`);
  }
  // On a narrow screen a table may scroll in its own frame; on a wide one nobody looks for columns that are not there.
  for (const frame of document.querySelectorAll(".scroll")) {
    if (window.innerWidth >= 1200 && frame.scrollWidth > frame.clientWidth) {
      const head = frame.querySelector("tr").textContent;
      problems.push(`the table "${head}" is ${frame.scrollWidth} px wide, ${frame.clientWidth} are there`);
    }
  }
  const plots = document.querySelectorAll("svg.plot");
  for (const plot of plots) {
    const name = plot.getAttribute("aria-label");
    const frame = plot.getBoundingClientRect();
    if (!name) problems.push("a plot has no words for those who do not see it");
    if (frame.width < 200 || frame.height < 80) problems.push(`${name}: only ${frame.width} by ${frame.height} px`);
    for (const text of plot.querySelectorAll("text")) {
      const words = text.textContent.trim();
      const box = text.getBoundingClientRect();
      const slack = 1;
      if (box.left < frame.left - slack || box.right > frame.right + slack || box.top < frame.top - slack
        || box.bottom > frame.bottom + slack) {
        problems.push(`${name}: "${words}" runs out of the plot`);
      }
      const fill = numbers(getComputedStyle(text).fill);
      if (contrast(fill, paper) < 4.5) problems.push(`${name}: "${words}" can hardly be read`);
    }
    for (const shape of plot.querySelectorAll("rect, path, polyline, circle")) {
      for (const role of ["fill", "stroke"]) {
        if ((shape.getAttribute(role) || "").startsWith("#")) problems.push(`${name}: a colour of its own`);
      }
    }
    // Letters on letters cannot be read.
    const boxes = [...plot.querySelectorAll("text")].map((text) => [text.textContent.trim(), text.getBoundingClientRect()]);
    boxes.forEach(([one, a], at) => {
      for (const [other, b] of boxes.slice(at + 1)) {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 3) problems.push(`${name}: "${one}" and "${other}" overlap`);
      }
    });
  }
  for (const element of document.querySelectorAll("h1, h2, h3, p, dt, dd, th, td, a")) {
    const style = getComputedStyle(element);
    if (contrast(numbers(style.color), paper) < 4.5) problems.push(`"${element.textContent}" can hardly be read`);
  }
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    if (!document.querySelector(link.getAttribute("href"))) problems.push(`${link.href} leads nowhere`);
  }
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = JSON.stringify({ problems, plots: plots.length, is_dark: luminance(paper) < 0.2 });
  document.body.append(seen);
})();
