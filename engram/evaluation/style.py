"""The look of a report's page: light, dark and print, without a script and without anything loaded."""

CLASSES = ("#2f6fb0", "#dd7a34", "#3f9a5f", "#c44e6a", "#8064a8", "#8c6d4f", "#d07fbb", "#66707f", "#a79b2a", "#2fa3b3")
SCALE = ("#3b4d8f", "#2f7fa5", "#2fa38d", "#63b858", "#b3bd3a", "#eda53a")
REAL = "#98a1b0"


def _colours() -> str:
    names = {f"c{i}": colour for i, colour in enumerate(CLASSES)} | {f"q{i}": colour for i, colour in enumerate(SCALE)}
    rules = []
    for name, colour in (names | {"real": REAL}).items():
        rules.append(f".s-{name}{{stroke:{colour}}}.f-{name}{{fill:{colour}}}.k-{name}{{background:{colour}}}")
        rules.append(f".p-{name}{{fill:{colour};fill-opacity:.72}}")
    return "\n".join(rules)


STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d687a; --line: #e1e5eb; --paper: #fff; --tint: #f5f7fa;
        --best: #e6f3ea; --warn: #c98324; --shade: #aab2bf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --soft: #9aa5b8; --line: #313947; --paper: #14181f; --tint: #1b212a; --best: #1d3a2a;
          --warn: #d9953b; --shade: #5d687a; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #ccc; --paper: #fff; --tint: #fff; --best: #eef6f0;
          --shade: transparent; }
  body { margin: 0; max-width: none; font-size: 11pt; }
  figure, .finding, .small, tr, dl { break-inside: avoid; }
  h2 { break-after: avoid; }
  .scroll { overflow: visible; }
  nav { display: none; }
}
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
       color: var(--ink); background: var(--paper); margin: 2.5rem auto 4rem; max-width: 54rem; padding: 0 1.25rem; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .5rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
h4 { font-size: .8rem; font-weight: 600; margin: 0 0 .1rem; overflow-wrap: anywhere; }
p { margin: .4rem 0; }
p.lead { font-size: 1.15rem; line-height: 1.5; margin: .6rem 0 .9rem; }
.soft, p.say, nav { color: var(--soft); font-size: .9rem; }
nav a { color: inherit; margin-right: 1rem; white-space: nowrap; }
.scroll { overflow-x: auto; margin: .6rem 0; /* what is hidden casts a shadow at its side */
          background: linear-gradient(to right, var(--paper) 40%, transparent) left / 3rem 100% local,
                      linear-gradient(to left, var(--paper) 40%, transparent) right / 3rem 100% local,
                      linear-gradient(to right, var(--shade), transparent) left / 1rem 100% scroll,
                      linear-gradient(to left, var(--shade), transparent) right / 1rem 100% scroll;
          background-repeat: no-repeat; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; }
th, td { padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
         vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, .words, td.left { text-align: left; }
td.words { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; max-width: 28rem; }
td.name { white-space: normal; overflow-wrap: break-word; max-width: 14rem; }
td.unit { min-width: 11rem; } td.unit small { font-size: .75rem; }
th small { display: block; font-weight: normal; white-space: normal; }
tr.model td:first-child { font-weight: 600; }
table.dense { font-size: .8rem; }
table.dense th, table.dense td { padding: .25rem .55rem .25rem 0; }
td.cell { white-space: normal; overflow-wrap: break-word; max-width: 7.5rem; }
th[colspan] { text-align: left; }
.pair { border-left: 1px solid var(--line); padding-left: .55rem !important; }
td.best { font-weight: 600; }
td.best span { background: var(--best); padding: .1rem .35rem; margin-right: -.35rem; border-radius: 4px; }
td.back { color: var(--soft); }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1.2rem; margin: .6rem 0; font-size: .9rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.finding { border-left: 3px solid var(--warn); background: var(--tint); padding: .55rem .9rem; margin: .6rem 0;
           border-radius: 0 6px 6px 0; overflow-wrap: anywhere; }
.finding b { font-weight: 600; }
.finding small { color: var(--soft); float: right; margin-left: 1rem; }
figure { margin: .8rem 0; }
figcaption { color: var(--soft); font-size: .85rem; margin-bottom: .25rem; }
img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; }
svg { display: block; width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--soft); font-family: inherit; }
svg text.named { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.axis { stroke: var(--soft); fill: none; }
.rule { stroke: var(--line); fill: none; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.area { fill-opacity: .38; }
.dots { fill: none; stroke-width: 1.5; stroke-dasharray: 3 4; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .85rem; color: var(--soft); }
.legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; margin-right: .4rem; }
.two, .three { display: grid; gap: 1rem 1.2rem; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
.two { grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
.lines { display: grid; grid-template-columns: max-content 1fr; gap: .5rem .9rem; align-items: center; font-size: .85rem; }
.lines span { color: var(--soft); text-align: right; }
.lines img { width: 100%; }
.near { max-width: 26rem; }
.pairs { display: grid; grid-template-columns: max-content 1fr 1fr; gap: .5rem 1.4rem; align-items: center; font-size: .85rem; }
.pairs span { color: var(--soft); text-align: right; } .pairs span.head { text-align: left; } .pairs img { width: 100%; }
.up { color: #3f9a5f; } .down { color: #c44e6a; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
""" + _colours()
