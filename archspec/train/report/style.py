"""The report's looks: one column on a phone, light and dark by what the reader's machine asks for."""

CSS = """
:root { color-scheme: light dark; --page: #ffffff; --card: #f6f7f9; --ink: #1b2430; --soft: #5b6676; --line: #dde2e8;
  --one: #2563b8; --two: #c2570c; --good: #1f7a4d; --bad: #b3261e; --heat: 37, 99, 184; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1b2129; --ink: #e4e9ef; --soft: #9aa7b6;
  --line: #323b47; --one: #7fb0f5; --two: #f0a35e; --good: #69c796; --bad: #f08a80; --heat: 96, 155, 240; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .8rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .8rem 0; font-size: .9rem; }
a { color: var(--one); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.6rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.35rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: .8rem; }
.charts > * { max-width: 34rem; }
figure { margin: 0; }
.chart { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .4rem; }
.chart svg { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
thead th { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.matrix td, .matrix th { border: 1px solid var(--page); padding: .3rem .45rem; text-align: center; min-width: 2.1rem;
  font-variant-numeric: tabular-nums; font-size: .85rem; }
.matrix td { background: rgba(var(--heat), var(--share, 0)); }
.matrix .strong { color: var(--page); }
.matrix .none { color: var(--line); }
.matrix .right { outline: 1.5px solid var(--good); outline-offset: -2px; }
.matrix th { max-width: 9rem; overflow: hidden; text-overflow: ellipsis; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 10.5rem), 1fr)); gap: .7rem; }
.examples.broad { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.example { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .6rem;
  font-size: .88rem; }
.example img { display: block; width: 100%; max-height: 14rem; object-fit: contain; image-rendering: auto;
  border-radius: .3rem; background: var(--page); }
.example img.coarse { image-rendering: pixelated; }
.example blockquote { margin: 0 0 .4rem; max-height: 9rem; overflow: auto; white-space: pre-wrap; }
.example table { font-size: .8rem; width: 100%; }
.example td { padding: .1rem .3rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)); gap: .5rem; }
.gallery img { display: block; width: 100%; border-radius: .3rem; }
.gallery img.coarse { image-rendering: pixelated; }
.row { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: .4rem; }
.row figcaption { text-align: center; font-size: .78rem; }
.truth { color: var(--good); } .said { color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; font-size: .88rem; }
.legend i { display: inline-block; width: .9em; height: .9em; border-radius: .2em; margin-right: .35em;
  vertical-align: -.08em; border: 1px solid var(--line); }
.paper { background: #ffffff; border: 1px solid var(--line); border-radius: .6rem; padding: .6rem; overflow: auto;
  max-height: 85vh; color-scheme: light; }
.paper svg { display: block; margin: 0 auto; height: auto; max-width: none; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem; overflow: auto;
  font: .82rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; max-height: 70vh; }
@media print { .paper, pre { max-height: none; } .example, .chart { break-inside: avoid; } }
"""
