"use strict";
// The page's behaviour. All numbers come from #data, all pixels from the sprites in it; nothing is fetched.

const data = JSON.parse(document.getElementById("data").textContent);
const state = { image: 0, book: 0, place: 0, row: null, edit: null };
const $ = (id) => document.getElementById(id);
const say = (text) => { $("live").textContent = text; };

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// A picture of a sprite at its own size: style sheets enlarge it, each pixel a square.
function draw(canvas, sheet, index) {
  canvas.width = sheet.width;
  canvas.height = sheet.height;
  const [x, y] = [index % sheet.columns, Math.floor(index / sheet.columns)];
  const box = [x * sheet.width, y * sheet.height, sheet.width, sheet.height];
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(sheet.loaded, ...box, 0, 0, sheet.width, sheet.height);
  return canvas;
}
const picture = (sheet, index, label) => draw(make("canvas", { role: "img", "aria-label": label }), sheet, index);

function allSheets() {
  const others = data.strips.map((strip) => strip.sprite);
  return [data.originals, data.decoded, data.crops, data.edits.sprite, ...others].filter(Boolean);
}

// One of some buttons is chosen: by a click, by the arrow keys, by Home and End.
function radios(box, contents, choose) {
  const last = contents.length - 1;
  const pick = (index, focus) => {
    buttons.forEach((button, number) => {
      button.setAttribute("aria-checked", number === index);
      button.tabIndex = number === index ? 0 : -1;
    });
    if (focus) buttons[index].focus();
    choose(index);
  };
  const keys = (event, index) => {
    const steps = { ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1, Home: 0, End: last };
    if (!(event.key in steps)) return;
    event.preventDefault();
    pick((steps[event.key] + last + 1) % (last + 1), true);
  };
  const buttons = contents.map(([label, ...children], index) => make("button", {
    type: "button", role: "radio", "aria-label": label, onclick: () => pick(index), onkeydown: (event) => keys(event, index),
  }, ...children));
  box.replaceChildren(...buttons);
  buttons.forEach((button, index) => { button.setAttribute("aria-checked", index === 0); button.tabIndex = index ? -1 : 0; });
  return buttons;
}

const book = () => data.books[state.book];
const tokens = () => book().tokens[state.image];
const number = (row) => (book().numbers ? book().numbers[row] : row);
const className = (image) => data.classes[data.labels[image]];
const times = (count) => (count === 1 ? "once" : `${count} times`);
const within = (row, image) => book().tokens[image].filter((other) => other === row).length;

function placeName(place, grid = book().grid) {
  if (grid.length === 1) return `token ${place + 1} of ${grid[0]}`;
  return `row ${Math.floor(place / grid[1]) + 1}, column ${(place % grid[1]) + 1}`;
}
const bitsOf = (code) => Array.from({ length: book().bits }, (_, bit) => Math.floor(code / 2 ** bit) % 2);
// Long numbers of binary codes are written as hexadecimal digits.
const codeName = (row) => (book().bits > 16 ? number(row).toString(16).padStart(book().bits / 4, "0") : `${number(row)}`);

function paintGrid() {
  const { grid, name } = book(), flat = grid.length === 1, columns = grid.at(-1);
  const box = flat ? $("beside") : $("overlay");
  $("beside").replaceChildren();
  $("overlay").replaceChildren();
  const rows = [];
  tokens().forEach((row, place) => {
    if (place % columns === 0) rows.push(make("div", { role: "row" }));
    rows.at(-1).append(make("div", {
      role: "gridcell", tabindex: -1, "data-place": place, "data-row": row,
      "aria-label": `${placeName(place)}, code ${codeName(row)}`,
      onclick: () => select(place), onmouseenter: () => preview(place), onfocus: () => place !== state.place && select(place),
      onkeydown: (event) => moveToken(event, place),
    }, flat ? codeName(row) : ""));
  });
  box.append(make("div", { role: "grid", class: flat ? "sequence" : "grid", style: `--columns: ${columns}`,
    "aria-label": `${name} tokens of image ${data.numbers[state.image]}`, onmouseleave: () => show(currentRow(), state.place) }, ...rows));
}

function moveToken(event, place) {
  const columns = book().grid.at(-1), start = place - (place % columns);
  const steps = {
    ArrowRight: place + 1, ArrowLeft: place - 1, ArrowDown: place + columns, ArrowUp: place - columns, Home: start, End: start + columns - 1,
  };
  if (event.key === "Escape") return undo();
  if (!(event.key in steps)) return undefined;
  event.preventDefault();
  return select(Math.min(Math.max(steps[event.key], 0), tokens().length - 1), true);
}

const cells = () => [...document.querySelectorAll("[role=gridcell]")];
const currentRow = () => state.row ?? tokens()[state.place];

function select(place, focus = false) {
  Object.assign(state, { place, row: null, edit: null });
  show(tokens()[place], place);
  cells().forEach((cell, index) => {
    cell.tabIndex = index === place ? 0 : -1;
    cell.setAttribute("aria-selected", index === place);
  });
  if (focus) cells()[place].focus();
  paintEdit();
  const told = book().codes[tokens()[place]];
  say(`${book().name}, ${placeName(place)}: code ${codeName(tokens()[place])}, ${told ? times(told.count) : ""} in ${data.count} images`);
}

const preview = (place) => show(tokens()[place], place);

// Mark everything that holds a code, and tell of it.
function show(row, place) {
  cells().forEach((cell) => cell.classList.toggle("same", Number(cell.dataset.row) === row));
  document.querySelectorAll("#images button").forEach((button, image) => {
    const found = within(row, image);
    button.querySelector(".badge").textContent = found || "";
    button.classList.toggle("same", found > 0);
  });
  paintDetail(row, place);
}

function paintDetail(row, place) {
  const code = book().codes[row], children = [];
  children.push(make("h3", { tabindex: -1 }, `${book().name} code ${codeName(row)}`));
  const own = place !== null && tokens()[place] === row;
  children.push(make("p", { class: "place" }, own ? placeName(place) : "not the chosen token's own code"));
  if (book().bits) children.push(paintBits(row));
  if (!code) children.push(make("p", {}, "This page tells no more of this code."));
  else {
    const counts = `${times(code.count)} in ${code.images} of ${data.count} held-out images, ${times(within(row, state.image))} in this one`;
    children.push(make("p", { class: "counts" }, counts), ...paintCrops(code), ...paintClasses(code), ...paintNear(code, own ? place : null));
  }
  $("detail").replaceChildren(...children);
}

function paintBits(row, base = null) {
  const bits = bitsOf(number(row)), other = base === null ? bits : bitsOf(number(base));
  const marks = bits.map((bit, index) => make("span", { class: (bit ? "one" : "zero") + (bit === other[index] ? "" : " differs") }));
  return make("div", { class: "bits", role: "img", "aria-label": `bits, lowest first: ${bits.join("")}` }, ...marks);
}

function paintCrops(code) {
  if (!code.crops.length) return [];
  const flat = book().grid.length === 1;
  const shown = code.crops.map(([index, image, place, count]) => make("figure", {},
    picture(data.crops, index, `held-out image ${image}, ${flat ? "" : `${placeName(place)}, `}${times(count)}`),
    make("figcaption", {}, `${count}×`)));
  return [make("h4", {}, flat ? "Images that hold it most often" : "Patches of the images that hold it most often"), make("div", { class: "crops" }, ...shown)];
}

function paintClasses(code) {
  const most = 10, listed = [...code.classes].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
  const highest = listed.length ? listed[0][1] : 1, items = listed.slice(0, most).map(([label, count]) => make("li", {},
    make("span", { class: "name" }, data.classes[label]),
    make("span", { class: "bar" }, make("span", { style: `width: ${(100 * count) / highest}%` })),
    make("span", { class: "number" }, `${count}`)));
  const rest = listed.slice(most).reduce((sum, [, count]) => sum + count, 0);
  if (rest) items.push(make("li", {}, make("span", { class: "name" }, `${listed.length - most} other classes`), make("span", { class: "bar" }), make("span", { class: "number" }, `${rest}`)));
  return listed.length ? [make("h4", {}, "Times in the images of each class"), make("ul", { class: "classes" }, ...items)] : [];
}

function paintNear(code, place) {
  const known = place === null ? 0 : data.edits.neighbours, items = code.near.map((row, rank) => {
    const label = `code ${codeName(row)}, cosine ${code.cosines[rank].toFixed(3)}`, crop = book().codes[row]?.crops[0];
    const index = rank < known ? editIndex(place, rank) : null;
    const item = make("li", { "data-row": row },
      crop ? picture(data.crops, crop[0], `patch of code ${codeName(row)}`) : make("span", { class: "none" }),
      make("button", { type: "button", class: "look", "aria-label": `look at ${label}`, onclick: () => lookAt(row) }, codeName(row)),
      make("span", { class: "number" }, code.cosines[rank].toFixed(3)));
    if (index !== null) item.append(make("button", { type: "button", class: "replace", "aria-pressed": state.edit?.index === index,
      "aria-label": `replace the token by ${label}`, onclick: () => replace(index, row) }, "replace"));
    if (book().bits) item.append(paintBits(row, tokens()[state.place]));
    return item;
  });
  return [make("h4", {}, "Nearest codes by cosine"), make("ul", { class: "near" }, ...items)];
}

function lookAt(row) {
  state.row = row;
  show(row, state.place);
  $("detail").querySelector("h3").focus();
}

function editIndex(place, rank) {
  const { images, places, neighbours } = data.edits, position = places[state.book].indexOf(place);
  if (state.image >= images || position < 0) return null;
  const sizes = places.map((each) => each.length * neighbours), all = sizes.reduce((sum, size) => sum + size, 0);
  const before = sizes.slice(0, state.book).reduce((sum, size) => sum + size, 0);
  return state.image * all + before + position * neighbours + rank;
}

function replace(index, row) {
  state.edit = state.edit?.index === index ? null : { index, row };
  paintEdit();
  say(state.edit ? $("change").textContent : "replacement undone");
}

function undo() {
  state.edit = null;
  paintEdit();
  say("replacement undone");
}

function paintEdit() {
  draw($("decoded"), data.decoded, state.image);
  draw($("edited"), state.edit ? data.edits.sprite : data.decoded, state.edit ? state.edit.index : state.image);
  document.querySelectorAll(".replace").forEach((button) => {
    button.setAttribute("aria-pressed", Number(button.parentElement.dataset.row) === state.edit?.row);
  });
  const text = paintDifference();
  $("change").textContent = state.edit ? text : "no token replaced";
  const { grid } = book(), [height, width] = grid.map((side) => 100 / side), place = state.place;
  document.querySelectorAll(".mark").forEach((box) => {
    const style = `top: ${Math.floor(place / grid[1]) * height}%; left: ${(place % grid[1]) * width}%; height: ${height}%; width: ${width}%`;
    box.replaceChildren(...(grid.length === 1 ? [] : [make("span", { style })]));
  });
}

function paintDifference() {
  const pixels = (id) => $(id).getContext("2d").getImageData(0, 0, $(id).width, $(id).height);
  const [before, after, canvas] = [pixels("decoded"), pixels("edited"), draw($("difference"), data.decoded, state.image)];
  const changes = before.data.map((value, index) => Math.abs(value - after.data[index])); // 0 where both are opaque
  const largest = changes.reduce((one, other) => Math.max(one, other), 0), sum = changes.reduce((one, other) => one + other, 0);
  changes.forEach((change, index) => { after.data[index] = index % 4 === 3 ? 255 : (255 * change) / Math.max(1, largest); });
  canvas.getContext("2d").putImageData(after, 0, 0);
  const mean = (sum / ((changes.length / 4) * 3)).toFixed(2);
  if (!state.edit) return "";
  return `${codeName(tokens()[state.place])} → ${codeName(state.edit.row)}: a pixel changes by ${mean} of 255 on average, by ${largest} at most`;
}

function paintStrip(strip, index) {
  const section = $(`strip${index}`), rows = make("div", { role: "radiogroup", "aria-label": "What is shown" });
  const big = make("canvas", { role: "img" }), slider = make("input", { type: "range", min: 0, max: strip.values.length - 1,
    step: 1, value: strip.values.length - 1, "aria-labelledby": `strip${index}-title` });
  const caption = make("p", { class: "value" }), small = make("div", { class: "frames" });
  let row = strip.rows.length - 1;
  const frame = (value) => ((strip.images === 1 ? 0 : state.image) * strip.rows.length + row) * strip.values.length + value;
  const paint = () => {
    const value = Number(slider.value), text = strip.values[value];
    draw(big, strip.sprite, frame(value));
    big.setAttribute("aria-label", `${strip.rows[row]}: ${text}`);
    slider.setAttribute("aria-valuetext", text);
    caption.textContent = strip.rows.length > 1 ? `${strip.rows[row]}: ${text}` : text;
    [...small.children].forEach((canvas, number) => {
      draw(canvas, strip.sprite, frame(number));
      canvas.classList.toggle("chosen", number === value);
    });
  };
  strip.values.forEach((_, value) => small.append(make("canvas", { "aria-hidden": true, onclick: () => { slider.value = value; paint(); } })));
  slider.addEventListener("input", paint);
  const buttons = radios(rows, strip.rows.map((name) => [name, name]), (chosen) => { row = chosen; paint(); });
  buttons.forEach((button, number) => { button.setAttribute("aria-checked", number === row); button.tabIndex = number === row ? 0 : -1; });
  section.append(...(strip.rows.length > 1 ? [rows] : []), make("div", { class: "player" }, big, make("div", {}, caption, slider, small)));
  return paint;
}

function paintImage() {
  draw($("original"), data.originals, state.image);
  $("original").setAttribute("aria-label", `held-out image ${data.numbers[state.image]}, class ${className(state.image)}`);
  paintGrid();
  select(Math.min(state.place, tokens().length - 1));
}

async function start() {
  await Promise.all(allSheets().map(async (sheet) => {
    sheet.loaded = new Image();
    sheet.loaded.src = sheet.picture;
    await sheet.loaded.decode();
  }));
  const strips = data.strips.map(paintStrip);
  radios($("images"), data.numbers.map((held, image) => [`image ${held}, class ${className(image)}`,
    picture(data.originals, image, ""), make("span", { class: "name" }, className(image)), make("span", { class: "badge" })]), (image) => {
    state.image = image;
    paintImage();
    strips.forEach((paint) => paint());
  });
  radios($("books"), data.books.map(({ name, size }) => [`${name}, ${size} codes`, `${name} (${size} codes)`]), (chosen) => {
    state.book = chosen;
    paintImage();
  });
  $("books").hidden = data.books.length === 1;
  paintImage();
  strips.forEach((paint) => paint());
  document.body.dataset.ready = "true";
}

start();
