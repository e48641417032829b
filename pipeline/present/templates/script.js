// All pages read without this script: it keeps the place, opens what a link leads to, filters, sorts and copies.
const other = document.getElementById("switch");
const place = () => {
  const passed = [...document.querySelectorAll("main [id]")].filter(
    box => box.getClientRects().length && box.getBoundingClientRect().top < 120);
  return passed.length && scrollY > 120 ? "#" + passed[passed.length - 1].id : location.hash;
};
// The other language opens at the same place.
const keep = () => { if (other) other.hash = location.hash; };
addEventListener("hashchange", keep);
keep();
if (other) other.addEventListener("click", () => { other.hash = place(); });

// A link to what is folded opens it, and so does printing.
const unfold = box => { for (; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true; };
const follow = () => {
  const box = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (box && box.closest("main details")) { unfold(box); box.scrollIntoView(); }
};
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach(box => { box.open = true; }));
follow();

// Only one menu is open, and a click beside it closes it.
addEventListener("click", event => document.querySelectorAll(".menu[open]").forEach(
  menu => { if (!menu.contains(event.target)) menu.open = false; }));

// A filter shows the rows that fit all its boxes; what is chosen stands in the address.
const form = document.getElementById("filter");
if (form) {
  const boxes = [...form.querySelectorAll("select, input")];
  const plain = Object.fromEntries(boxes.map(box => [box.name, box.value]));
  const asked = new URLSearchParams(location.search);
  for (const box of boxes) {
    const value = asked.get(box.name);
    if (value !== null && (!box.options || [...box.options].some(one => one.value === value))) box.value = value;
  }
  const groups = [...document.querySelectorAll("[data-group]")];
  const fits = (row, box) => {
    if (!box.value) return true;
    if (box.type === "search") return row.textContent.toLowerCase().includes(box.value.toLowerCase());
    const held = row.dataset[box.name].split(" ");
    return box.value.split(" ").some(one => held.includes(one));
  };
  const show = () => {
    let shown = 0;
    const asked = location.hash.slice(1);
    for (const row of document.querySelectorAll("[data-kind]")) {
      const named = asked && (row.id === asked || row.querySelector(`[id="${CSS.escape(asked)}"]`));
      row.hidden = !boxes.every(box => fits(row, box)) && !named;
      shown += !row.hidden;
    }
    for (const group of groups) group.hidden = !group.querySelector("[data-kind]:not([hidden])");
    document.getElementById("shown").value = shown;
    const state = new URLSearchParams(boxes.filter(box => box.value !== plain[box.name]).map(box => [box.name, box.value]));
    if (other) other.search = state.toString();
    return state.toString();
  };
  const chosen = () => {
    const state = show();
    history.replaceState(null, "", location.pathname + (state && "?" + state) + location.hash);
  };
  form.addEventListener("change", chosen);
  form.addEventListener("input", chosen);
  form.addEventListener("submit", event => event.preventDefault());
  addEventListener("hashchange", show);
  form.hidden = false;
  show();
}

// The heads of a sortable table sort it: numbers by their size, words by their letters, blanks last.
const number = text => parseFloat(text.replace(/,/g, "").replace("\u2212", "-").replace(/^[<>]/, ""));
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.title = said.sort;
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(one => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const text = row => row.cells[column].dataset.sort || row.cells[column].textContent.trim();
      const order = (one, two) => {
        const [a, b] = [text(one), text(two)], [x, y] = [number(a), number(b)];
        if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
        return (down ? -1 : 1) * (isNaN(x) ? a.localeCompare(b) : x - y);
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}

// What is there to be quoted can be copied.
for (const box of document.querySelectorAll(".quoted")) {
  if (!navigator.clipboard) break;
  const text = box.textContent.trim();
  const button = document.createElement("button");
  button.textContent = said.copy;
  button.addEventListener("click", () => navigator.clipboard.writeText(text).then(() => { button.textContent = said.copied; }));
  box.append(" ", button);
}

// A figure as PNG, twice as large, drawn when asked for; from a disk a browser lets nobody read what was drawn.
for (const way of location.protocol.startsWith("http") ? document.querySelectorAll("figure .made a[href$='.svg']") : []) {
  const button = document.createElement("button");
  button.textContent = "PNG";
  button.addEventListener("click", () => {
    const picture = way.closest("figure").querySelector("img"), canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * picture.naturalWidth, 2 * picture.naturalHeight];
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const saved = document.createElement("a");
    [saved.href, saved.download] = [canvas.toDataURL("image/png"), way.href.split("/").pop().replace(/svg$/, "png")];
    saved.click();
  });
  way.after(" · ", button);
}
