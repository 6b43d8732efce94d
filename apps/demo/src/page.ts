// An HTML page that stands alone: its style for light and dark, and a script for tabs and zoom that it can do without.

export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${body}
</main>
<script>${script}</script>
</body>
</html>
`
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
}

/** An element; attribute values are escaped here, its content is HTML already. */
export function element(tag: string, attributes: Readonly<Record<string, string>>, content: readonly string[]): string {
  const list = Object.entries(attributes).map(([name, value]) => ` ${name}="${escapeHtml(value)}"`)
  return `<${tag}${list.join("")}>${content.join("")}</${tag}>`
}

const style = `
:root {
  color-scheme: light dark;
  --page: #fdfdfe; --panel: #f4f6f9; --line: #d9dfe8; --text: #1a2230; --muted: #4d596b;
  --right: #2563c9; --good: #17805a; --bad: #b01440;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161d; --panel: #1a202a; --line: #2f3846; --text: #e8edf4; --muted: #b3bdcc;
    --right: #6ea3f7; --good: #4fc495; --bad: #f5809f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0; display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; }
h2 { font-size: 23px; margin: 56px 0 8px; }
h3 { font-size: 17px; margin: 28px 0 8px; }
h4 { font-size: 14px; margin: 0 0 8px; font-weight: 500; color: var(--muted); }
p { margin: 8px 0; max-width: 80ch; }
header p, figcaption, caption, .wanted { color: var(--muted); }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.verdict { font-size: 15px; font-weight: 600; padding: 4px 12px; border-radius: 99px; border: 1.5px solid; }
.verdict.met, .met .mark { color: var(--good); }
.verdict.missed, .missed .mark { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 1fr)); gap: 12px; margin-top: 24px; }
.card { background: var(--panel); border: 1px solid var(--line); border-left: 4px solid var(--good); border-radius: 8px; padding: 12px 16px; }
.card.missed { border-left-color: var(--bad); }
.card h3 { margin: 0; font-size: 14px; font-weight: 500; }
.card .value { font-size: 22px; font-weight: 650; margin: 2px 0; white-space: nowrap; font-variant-numeric: tabular-nums; }
.card .wanted, .card .mark { font-size: 13px; margin: 0; }
.mark { font-weight: 650; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; margin: 16px 0; }
.charts svg { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; }
.readings { display: flex; flex-wrap: wrap; gap: 24px 48px; align-items: flex-start; margin: 24px 0; }
table { border-collapse: separate; border-spacing: 2px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: 14px; padding-bottom: 8px; }
.confusion td, .confusion th { width: 38px; height: 34px; text-align: center; padding: 0; border-radius: 4px; font-size: 14px; }
.confusion th, .total { color: var(--muted); font-weight: 500; }
.confusion .none { color: var(--muted); background: var(--panel); }
.confusion .right { background: color-mix(in srgb, var(--right) var(--strength), var(--page)); }
.confusion .wrong { background: color-mix(in srgb, var(--bad) calc(var(--strength) * .6), var(--page)); font-weight: 700; }
.scroll { overflow-x: auto; max-width: 100%; }
.misread { flex: 1 1 320px; }
.gallery { display: flex; flex-wrap: wrap; gap: 12px; }
.gallery figure { margin: 0; text-align: center; font-size: 13px; }
.gallery svg { display: block; margin: 0 auto 4px; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 4px; }
.plain { min-width: 620px; }
.plain th, .plain td { text-align: left; padding: 4px 16px 4px 0; font-size: 14px; border-bottom: 1px solid var(--line); }
.program { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.bar { display: flex; flex-wrap: wrap; gap: 8px; justify-content: space-between; padding: 8px; background: var(--panel); border-bottom: 1px solid var(--line); }
.bar[hidden] { display: none; }
button { font: inherit; font-size: 14px; color: inherit; background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 3px 12px; cursor: pointer; }
button:hover { border-color: var(--muted); }
button[aria-selected="true"] { background: var(--text); color: var(--page); border-color: var(--text); }
:focus-visible { outline: 2px solid var(--right); outline-offset: 1px; }
.program figure { margin: 0; }
.picture { overflow: auto; max-height: 82vh; padding: 8px; cursor: grab; }
.picture.dragging { cursor: grabbing; user-select: none; }
.picture svg { display: block; margin: 0 auto; }
.program figcaption { padding: 6px 12px; font-size: 14px; border-top: 1px solid var(--line); }
details { padding: 0 12px 8px; font-size: 14px; }
summary { cursor: pointer; }
pre { overflow: auto; max-height: 60vh; background: var(--panel); padding: 12px; border-radius: 6px; }
@media print { .bar { display: none; } .picture { max-height: none; overflow: visible; } }
`

// Plain JavaScript for the browser. Sizes come from the viewBox of each picture, in its own units.
const script = `
for (const program of document.querySelectorAll(".program")) {
  const figures = [...program.querySelectorAll("figure")]
  const tabs = [...program.querySelectorAll("[role=tab]")]
  const views = figures.map((figure) => {
    const picture = figure.querySelector(".picture")
    const svg = picture.querySelector("svg")
    const { width, height } = svg.viewBox.baseVal
    const natural = 4 / 3
    let scale = 0
    const set = (next) => {
      const kept = scale === 0 ? 1 : next / scale
      const [x, y] = [picture.scrollLeft + picture.clientWidth / 2, picture.scrollTop + picture.clientHeight / 2]
      scale = next
      svg.setAttribute("width", width * scale)
      svg.setAttribute("height", height * scale)
      picture.scrollTo(x * kept - picture.clientWidth / 2, y * kept - picture.clientHeight / 2)
    }
    const fit = () => Math.min(natural, (picture.clientWidth - 18) / width, Math.max(360, innerHeight * 0.82 - 18) / height)
    const zooms = {
      in: () => set(Math.min(8, scale * 1.25)),
      out: () => set(Math.max(0.1, scale / 1.25)),
      fit: () => set(fit()),
      full: () => set(natural),
    }
    picture.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return
      event.preventDefault()
      zooms[event.deltaY < 0 ? "in" : "out"]()
    }, { passive: false })
    picture.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return
      const [x, y, left, top] = [event.clientX, event.clientY, picture.scrollLeft, picture.scrollTop]
      const move = (at) => picture.scrollTo(left + x - at.clientX, top + y - at.clientY)
      const end = () => {
        picture.classList.remove("dragging")
        removeEventListener("pointermove", move)
        removeEventListener("pointerup", end)
      }
      picture.classList.add("dragging")
      addEventListener("pointermove", move)
      addEventListener("pointerup", end)
    })
    // At first as large as the frame allows, but never too small to read: then there are scroll bars.
    return { zooms, show: () => { if (scale === 0) set(Math.max(0.8, Math.min(natural, (picture.clientWidth - 18) / width))) } }
  })
  let current = 0
  const select = (index) => {
    current = index
    figures.forEach((figure, i) => { figure.hidden = i !== index })
    tabs.forEach((tab, i) => { tab.setAttribute("aria-selected", String(i === index)) })
    views[index].show()
  }
  tabs.forEach((tab, index) => tab.addEventListener("click", () => select(index)))
  for (const button of program.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => views[current].zooms[button.dataset.zoom]())
  }
  program.querySelector(".bar").hidden = false
  select(Math.min(1, tabs.length - 1))
}
`
