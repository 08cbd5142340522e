"use strict";
for (const table of document.querySelectorAll("table[id^='sheet-cells']")) {
  const rows = [...table.tBodies[0].rows];
  const tools = table.closest("section").querySelector(".tools");
  const box = tools.querySelector("input");
  const said = tools.querySelector("output");
  const value = (row, place) => {
    const cell = row.cells[place];
    return "value" in cell.dataset ? parseFloat(cell.dataset.value) : cell.textContent.trim();
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    said.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} runs`;
  };
  table.querySelectorAll("thead th").forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
      rows.sort((one, two) => turn * compare(value(one, place), value(two, place)));
      table.tBodies[0].append(...rows);
    });
  });
  box.addEventListener("input", filter);
  tools.hidden = false;
  filter();
}
