// The light table: any picture of the viewer large, beside the scan and the same map of the other
// models, with one zoom and pan for all; and the keys of the page. It reads what the page shows:
// `button.oct-zoom[data-key]`, in rows and columns of a `[data-group]`.

const ZOOMS = { least: 1, most: 12, step: 1.25 };

function makeTable() {
  let data = { words: {}, scans: [], unsaved: false, keys: true };
  let open = null; // {key, row, column, beside, projector}
  // beside : what stands with the open map: "column", the scan and the other models; "row", all
  // maps of this model; "none".
  let overlay = true;
  let view = { scale: 1, x: 0, y: 0 };

  const dialog = document.createElement("dialog");
  dialog.className = "oct-light";
  document.body.append(dialog);
  dialog.innerHTML =
    '<div class="oct-light-all"><header><p class="oct-light-verdict"></p>' +
    '<div class="oct-light-tools" role="toolbar"></div></header>' +
    '<div class="oct-light-panes" tabindex="0"></div><footer></footer></div>';
  const [whole_, verdict, tools, panes, footer] = [
    ".oct-light-all", ".oct-light-verdict", ".oct-light-tools", ".oct-light-panes", "footer",
  ].map((selector) => dialog.querySelector(selector));

  const main = () => document.querySelector('[data-testid="stMain"]') ?? document.body;
  const all = () => [...main().querySelectorAll("button.oct-zoom")];
  const scanPicture = () => main().querySelector("button.oct-zoom[data-kind=scan] img");
  // Streamlit draws a button with help twice, one for touch: the one that shows is meant.
  const shownButton = (tile) => [...tile.querySelectorAll("button")].find((each) => each.offsetParent);
  const place = (button) => [Number(button.dataset.row), Number(button.dataset.column)];

  function cells() {
    // The maps that can be stepped through: those of the group that holds the open one, the grid
    // of layers before the cards.
    const groups = [...main().querySelectorAll("[data-group]")];
    groups.sort((a, b) => (b.dataset.group === "layers") - (a.dataset.group === "layers"));
    const found = groups.map((group) => [...group.querySelectorAll("button.oct-zoom")]);
    return found.find((some) => some.some((each) => each.dataset.key === open?.key)) ?? found[0] ?? [];
  }

  function current() {
    const some = cells();
    return some.find((each) => each.dataset.key === open.key) ??
      some.find((each) => place(each).join() === [open.row, open.column].join()) ?? some[0];
  }

  function step(rows, columns) {
    const now = current();
    if (!now) return;
    const [row, column] = place(now);
    const candidates = cells().filter((each) => each !== now && (rows
      ? Math.sign(place(each)[0] - row) === rows
      : place(each)[0] === row && Math.sign(place(each)[1] - column) === columns));
    const distance = (each) => {
      const [otherRow, otherColumn] = place(each);
      return 100 * Math.abs(otherRow - row) + Math.abs(otherColumn - column);
    };
    candidates.sort((a, b) => distance(a) - distance(b));
    if (candidates[0]) show(candidates[0].dataset.key);
  }

  function stepScan(by) {
    const at = data.scans.findIndex((scan) => scan.current);
    const next = data.scans[at + by];
    const tile = next && document.querySelector(`.st-key-show_${next.id}`);
    if (tile) shownButton(tile)?.click();
  }

  function button(text, label, act, pressed) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.title = label;
    made.setAttribute("aria-label", label);
    if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
    made.addEventListener("click", act);
    return made;
  }

  function pane(source, text, isScan) {
    const figure = document.createElement("figure");
    const window_ = document.createElement("div");
    window_.className = "oct-light-view";
    const image = document.createElement("img");
    const scan = scanPicture();
    image.src = overlay || isScan || !scan ? source.dataset.map ?? source.src : scan.src;
    image.alt = source.alt;
    image.draggable = false;
    const spot = document.createElement("i");
    window_.append(image, spot);
    const caption = document.createElement("figcaption");
    caption.textContent = text;
    figure.append(window_, caption);
    return figure;
  }

  function draw() {
    if (!open) return;
    const words = data.words;
    const line = main().querySelector('[data-testid="verdict"] p');
    verdict.textContent = line ? line.innerText.replace(/\s+/g, " ") : "";
    const scan = scanPicture();
    const now = open.key === "scan" ? null : current();
    const shown = [];
    if (scan && (open.beside === "column" || !now))
      shown.push(pane(scan, scan.closest("button").dataset.caption || words.scan, true));
    if (now) {
      open.key = now.dataset.key;
      [open.row, open.column] = place(now);
      const [row, column] = [open.row, open.column];
      const beside = cells().filter((each) => each === now ||
        (open.beside === "row" && place(each)[0] === row) ||
        (open.beside === "column" && place(each)[1] === column));
      for (const each of beside) {
        shown.push(pane(each.querySelector("img"), each.dataset.caption, false));
        shown.at(-1).classList.toggle("oct-light-now", each === now && beside.length > 1);
      }
    }
    panes.replaceChildren(...shown);
    panes.style.setProperty("--columns", String(shown.length));
    const focused = document.activeElement?.getAttribute?.("aria-label");
    const toolsNow = [
      button("−", words.smaller, () => zoom(1 / ZOOMS.step)),
      button("+", words.larger, () => zoom(ZOOMS.step)),
      button("1:1", words.whole, whole),
      button(words.overlay, words.overlayHelp, toggleOverlay, overlay),
    ];
    if (now) {
      toolsNow.unshift(
        button("◂", words.shallower, () => step(0, -1)), button("▸", words.deeper, () => step(0, 1)),
        button("▴", words.above, () => step(-1, 0)), button("▾", words.below, () => step(1, 0)));
      toolsNow.push(
        button(words.single, words.singleHelp, () => toggleBeside("none"), open.beside === "none"),
        button(words.model, words.modelHelp, () => toggleBeside("row"), open.beside === "row"));
    }
    toolsNow.push(
      button(words.projector, words.projectorHelp, toggleProjector, open.projector),
      button("✕", words.close, () => dialog.close()));
    tools.replaceChildren(...toolsNow);
    tools.setAttribute("aria-label", words.title);
    dialog.setAttribute("aria-label", words.title);
    [...tools.children].find((each) => each.ariaLabel === focused)?.focus();
    footer.textContent = data.keys ? words.keys : "";
    dialog.classList.toggle("oct-light-projector", open.projector);
    place_();
  }

  function place_() {
    panes.style.setProperty("--scale", view.scale);
    panes.style.setProperty("--x", `${view.x * 100}%`);
    panes.style.setProperty("--y", `${view.y * 100}%`);
    panes.style.setProperty("--touch", view.scale > 1 ? "none" : "pan-y");
  }

  function clamp() {
    const most = view.scale - 1;
    view.x = Math.min(0, Math.max(-most, view.x));
    view.y = Math.min(0, Math.max(-most, view.y));
  }

  // at : the point that stays where it is, in shares of the picture's frame.
  function zoom(by, at = [0.5, 0.5]) {
    const scale = Math.min(ZOOMS.most, Math.max(ZOOMS.least, view.scale * by));
    const share = scale / view.scale;
    view = {
      scale,
      x: at[0] - (at[0] - view.x) * share,
      y: at[1] - (at[1] - view.y) * share,
    };
    clamp();
    place_();
  }

  function whole() {
    view = { scale: 1, x: 0, y: 0 };
    place_();
  }

  function toggleOverlay() {
    overlay = !overlay;
    applyOverlay();
    draw();
  }

  function applyOverlay() {
    const scan = scanPicture();
    const said = main().querySelector("button[data-light=overlay]");
    if (said && said.getAttribute("aria-pressed") !== String(overlay))
      said.setAttribute("aria-pressed", String(overlay));
    for (const image of all().filter((each) => each.dataset.kind !== "scan")
      .map((each) => each.querySelector("img"))) {
      if (!image || !scan) continue;
      image.dataset.map ??= image.src;
      const wanted = overlay ? image.dataset.map : scan.src;
      if (image.src !== wanted) image.src = wanted;
    }
  }

  function toggleBeside(what) {
    open.beside = open.beside === what ? "column" : what;
    draw();
  }

  // A dialog itself cannot fill the screen: what is in it can.
  function toggleProjector() {
    open.projector = !open.projector;
    open.beside = open.projector ? "none" : "column";
    if (open.projector) whole_.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen();
    draw();
  }

  function show(key) {
    open = open ? { ...open, key } : { key, row: 0, column: 0, beside: "column", projector: false };
    if (!dialog.open) {
      whole();
      dialog.showModal();
      panes.focus();
    }
    draw();
  }

  function startProjector() {
    const deepest = all().filter((each) => each.dataset.kind !== "scan")[0] ??
      all().find((each) => each.dataset.kind === "scan");
    if (!deepest) return;
    show(deepest.dataset.key);
    if (!open.projector) toggleProjector();
  }

  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement && open?.projector) toggleProjector();
  });
  dialog.addEventListener("close", () => {
    open = null;
    fingers.clear();
    if (document.fullscreenElement) document.exitFullscreen();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  const frame = (event) => event.target.closest?.(".oct-light-view")?.getBoundingClientRect();
  const shares = (event, box) =>
    [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  panes.addEventListener("wheel", (event) => {
    const box = frame(event);
    if (!box) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? ZOOMS.step : 1 / ZOOMS.step, shares(event, box));
  }, { passive: false });
  const fingers = new Map();
  panes.addEventListener("pointerdown", (event) => {
    const box = frame(event);
    // A finger on the whole picture scrolls; a second one zooms.
    if (!box || event.button) return;
    fingers.set(event.pointerId, { at: shares(event, box), box });
    if (view.scale > 1) panes.setPointerCapture?.(event.pointerId);
  });
  panes.addEventListener("pointermove", (event) => {
    const box = fingers.get(event.pointerId)?.box ?? frame(event);
    if (!box) return panes.style.setProperty("--spot", "none");
    const at = shares(event, box);
    panes.style.setProperty("--spot", "block");
    panes.style.setProperty("--spot-x", `${at[0] * 100}%`);
    panes.style.setProperty("--spot-y", `${at[1] * 100}%`);
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1].at;
      const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1e-6;
      zoom(apart(at, other) / apart(finger.at, other),
        [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    } else {
      view.x += at[0] - finger.at[0];
      view.y += at[1] - finger.at[1];
      clamp();
      place_();
    }
    finger.at = at;
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"])
    panes.addEventListener(kind, (event) => fingers.delete(event.pointerId));
  panes.addEventListener("pointerleave", () => panes.style.setProperty("--spot", "none"));

  const typing = (target) =>
    target?.closest?.('input:not([type="checkbox"], [type="radio"], [type="file"]), textarea, ' +
      'select, [contenteditable="true"], [role="combobox"], [role="slider"], [role="listbox"], ' +
      '[role="menu"]');
  const inDialog = {
    ArrowLeft: () => step(0, -1), ArrowRight: () => step(0, 1),
    ArrowUp: () => step(-1, 0), ArrowDown: () => step(1, 0),
    "+": () => zoom(ZOOMS.step), "=": () => zoom(ZOOMS.step), "-": () => zoom(1 / ZOOMS.step),
    0: whole, s: () => toggleBeside("none"), m: () => toggleBeside("row"),
  };
  const everywhere = {
    j: () => stepScan(1), k: () => stepScan(-1), o: toggleOverlay,
    p: () => (open ? toggleProjector() : startProjector()),
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (!data.keys && !dialog.open) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const key = event.code.replace(/^Key/, "").toLowerCase(); // of a keyboard in Hangul
    const find = (one) => (dialog.open && inDialog[one]) || everywhere[one];
    const act = find(name) ?? (name.charCodeAt(0) > 127 ? find(key) : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  }

  function onClick(event) {
    const target = event.target.closest?.("button.oct-zoom, button[data-light]");
    if (!target || !main().contains(target)) return;
    if (target.dataset.light === "projector") startProjector();
    else if (target.dataset.light === "overlay") toggleOverlay();
    else show(target.dataset.key);
  }

  function onLeave(event) {
    if (data.unsaved) event.preventDefault();
  }

  let waiting = 0, scrolledTo = null;
  const watcher = new MutationObserver((changes) => {
    if (waiting || changes.every((each) => dialog.contains(each.target))) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      scrollStrip();
      applyOverlay();
      if (open) draw();
    });
  });

  // Once a scan, when all tiles are there: afterwards the strip is where the person left it.
  function scrollStrip() {
    const now = data.scans.find((scan) => scan.current);
    const tile = now && document.querySelector(`.st-key-show_${now.id}`);
    const strip = tile?.closest(".st-key-oct_strip");
    const tiles = strip ? [...strip.querySelectorAll('[class*="st-key-show_"]')] : [];
    if (!tiles.length || tiles.length < data.scans.length) return;
    for (const each of tiles) {
      const button = shownButton(each);
      if (each === tile) button?.setAttribute("aria-current", "true");
      else button?.removeAttribute("aria-current");
    }
    if (scrolledTo === now.id) return;
    scrolledTo = now.id;
    const [inner, outer] = [tile.getBoundingClientRect(), strip.getBoundingClientRect()];
    strip.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
  }

  let shownScan = null;
  return {
    update(next) {
      data = next;
      dialog.lang = next.language;
      document.addEventListener("click", onClick);
      document.addEventListener("keydown", onKey);
      window.addEventListener("beforeunload", onLeave);
      watcher.observe(main(), { childList: true, subtree: true });
      const now = next.scans.find((scan) => scan.current)?.id;
      requestAnimationFrame(scrollStrip);
      if (now !== shownScan) view = { scale: 1, x: 0, y: 0 };
      shownScan = now;
      draw();
    },
    // On another page the scans are still open: the warning stays.
    leave() {
      if (dialog.open) dialog.close();
      scrolledTo = null;
      document.removeEventListener("click", onClick);
      document.removeEventListener("keydown", onKey);
      watcher.disconnect();
    },
  };
}

let turns = 0;

export default function ({ data }) {
  window.octLightTable ??= makeTable();
  window.octLightTable.update(data);
  const turn = ++turns;
  return () => turn === turns && window.octLightTable.leave();
}
