// The DOT text: its form for a small program, that Graphviz takes it, and that names come out of Graphviz as they went in.
import { instance } from "@viz-js/viz"
import { describe, expect, test } from "vitest"
import { toDot } from "../src/index.ts"
import type { PictureOptions } from "../src/options.ts"
import { visible } from "../src/text.ts"
import { loops, nasty, nastyNames, net } from "./programs.ts"

const viz = await instance()

/** Every text that Graphviz sets, entities resolved. */
function textsOf(svg: string): string[] {
  const entities: Record<string, string> = {
    amp: "&",
    lt: "<",
    gt: ">",
    quot: '"',
    "#39": "'",
    "#45": "-",
    "#160": " ",
  }
  const plain = (text: string) => text.replace(/&([#\w]+);/g, (whole, name: string) => entities[name] ?? whole)
  return [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text = ""]) => plain(text).trim())
}

test("a net of one layer", () => {
  const options: PictureOptions = { detail: "essential", parts: ["forward", "optimize"], title: "One layer" }
  expect(toDot(net(1), options)).toMatchInlineSnapshot(`
    "digraph program {
      bgcolor="#fdfdfe"
      color="#667287"
      fontcolor="#1a2230"
      fontname="Helvetica"
      fontsize=12
      label=<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3"><TR><TD ALIGN="LEFT"><FONT POINT-SIZE="16"><B>One layer</B></FONT></TD></TR><TR><TD ALIGN="LEFT"><TABLE ALIGN="LEFT" BORDER="0" CELLBORDER="1" CELLSPACING="6" CELLPADDING="3"><TR><TD STYLE="ROUNDED" BGCOLOR="#d6e6fa" COLOR="#2a6ab3"><FONT POINT-SIZE="10">forward</FONT></TD><TD STYLE="ROUNDED" BGCOLOR="#cdeedd" COLOR="#1a7653"><FONT POINT-SIZE="10">update</FONT></TD><TD STYLE="ROUNDED" BGCOLOR="#fbf0b9" COLOR="#846800"><FONT POINT-SIZE="10">parameter</FONT></TD><TD STYLE="ROUNDED" BGCOLOR="#e4e8ee" COLOR="#5a6678"><FONT POINT-SIZE="10">state</FONT></TD><TD STYLE="ROUNDED" BGCOLOR="#fefeff" COLOR="#3d4a5e"><FONT POINT-SIZE="10">data</FONT></TD><TD STYLE="ROUNDED" BGCOLOR="#f5f7fa" COLOR="#8792a4"><FONT POINT-SIZE="10">value</FONT></TD><TD STYLE="ROUNDED" BGCOLOR="#fbd3de" COLOR="#b01440"><FONT POINT-SIZE="10">loss</FONT></TD><TD STYLE="DASHED" BGCOLOR="#fdfdfe" COLOR="#1a7653"><FONT POINT-SIZE="10">new value of state</FONT></TD></TR></TABLE></TD></TR><TR><TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="#4d596b">not drawn: 1 broadcastTo (1 operator)</FONT></TD></TR></TABLE>>
      labelloc=t
      labeljust=l
      newrank=true
      nodesep=0.22
      pad=0.3
      rankdir=TB
      ranksep=0.32
      node [color="#667287", fontcolor="#1a2230", fontname="Helvetica", fontsize=11, height=0.3, margin="0.11,0.055"]
      edge [arrowsize=0.6, color="#667287", fontcolor="#4d596b", fontname="Helvetica", fontsize=9]
      var_3 [label=<matmul_0.grad_0<BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[4, 1]</FONT>>, shape=ellipse, style="filled", fillcolor="#f5f7fa", color="#8792a4", tooltip="matmul_0.grad_0 float32[4, 1]"]
      var_4 [label=<reduce_sum_0.grad_0<BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[1]</FONT>>, shape=ellipse, style="filled", fillcolor="#f5f7fa", color="#8792a4", tooltip="reduce_sum_0.grad_0 float32[1]"]
      subgraph cluster_0 {
        label=<<B>forward</B>>; labeljust=l; labelloc=t; fontcolor="#2a6ab3"; fontsize=13
        style="rounded,filled"; color="#2a6ab3"; fillcolor="#f0f6fd"; margin=12
        var_0 [label=<x<BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[batch, 4]</FONT>>, shape=parallelogram, style="filled", margin="0,0", fillcolor="#fefeff", color="#3d4a5e", tooltip="x float32[batch, 4]"]
        var_1 [label=<fc_0.w_0<BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[4, 1]</FONT>>, shape=cylinder, style="filled", fillcolor="#fbf0b9", color="#846800", tooltip="fc_0.w_0 float32[4, 1]"]
        var_2 [label=<fc_0.b_0<BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[1]</FONT>>, shape=cylinder, style="filled", fillcolor="#fbf0b9", color="#846800", tooltip="fc_0.b_0 float32[1]"]
        op_0_0 [label=<<B>matmul</B><BR/><FONT POINT-SIZE="9" COLOR="#4d596b">alpha: 1</FONT>>, shape=box, style="rounded,filled", fillcolor="#d6e6fa", color="#2a6ab3", tooltip="fc_0.tmp_0 = matmul(x, fc_0.w_0)"]
        op_0_2 [label=<<B>add</B>>, shape=box, style="rounded,filled", fillcolor="#d6e6fa", color="#2a6ab3", tooltip="fc_0.tmp_1 = add(fc_0.tmp_0, fc_0.broadcast_0)"]
        op_0_3 [label=<<B>relu</B>>, shape=box, style="rounded,filled", fillcolor="#d6e6fa", color="#2a6ab3", tooltip="fc_0.tmp_2 = relu(fc_0.tmp_1)"]
        op_0_4 [label=<<B>square</B>>, shape=box, style="rounded,filled", fillcolor="#d6e6fa", color="#2a6ab3", tooltip="square_0.tmp_0 = square(fc_0.tmp_2)"]
        op_0_5 [label=<<B>mean</B><BR/><FONT POINT-SIZE="9" COLOR="#4d596b">→ mean_0.tmp_0</FONT><BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[]</FONT>>, shape=box, style="rounded,filled", fillcolor="#fbd3de", color="#b01440", penwidth=2, peripheries=2, tooltip="mean_0.tmp_0 = mean(square_0.tmp_0)"]
      }
      subgraph cluster_1 {
        label=<<B>update</B>>; labeljust=l; labelloc=t; fontcolor="#1a7653"; fontsize=13
        style="rounded,filled"; color="#1a7653"; fillcolor="#effaf4"; margin=12
        var_5 [label=<learning_rate_0<BR/><FONT POINT-SIZE="9" COLOR="#4d596b">float32[]</FONT>>, shape=folder, style="filled", fillcolor="#e4e8ee", color="#5a6678", tooltip="learning_rate_0 float32[]"]
        op_0_15 [label=<<B>sgd</B>>, shape=box, style="rounded,filled", fillcolor="#cdeedd", color="#1a7653", tooltip="fc_0.b_0@NEXT = sgd(fc_0.b_0, reduce_sum_0.grad_0, learning_rate_0)"]
        op_0_16 [label=<<B>sgd</B>>, shape=box, style="rounded,filled", fillcolor="#cdeedd", color="#1a7653", tooltip="fc_0.w_0@NEXT = sgd(fc_0.w_0, matmul_0.grad_0, learning_rate_0)"]
      }
      var_0 -> op_0_0 [color="#2a6ab3", tooltip="x float32[batch, 4] → matmul.x"]
      var_1 -> op_0_0 [color="#2a6ab3", minlen=0, tooltip="fc_0.w_0 float32[4, 1] → matmul.y"]
      op_0_0 -> op_0_2 [color="#2a6ab3", label=<<FONT POINT-SIZE="9" COLOR="#4d596b"> fc_0.tmp_0 </FONT><BR/><FONT POINT-SIZE="9" COLOR="#4d596b"> float32[batch, 1] </FONT>>, tooltip="fc_0.tmp_0 float32[batch, 1] → add.x"]
      var_2 -> op_0_2 [color="#2a6ab3", minlen=0, tooltip="fc_0.broadcast_0 float32[batch, 1] through broadcastTo → add.y"]
      op_0_2 -> op_0_3 [color="#2a6ab3", label=<<FONT POINT-SIZE="9" COLOR="#4d596b"> fc_0.tmp_1 </FONT><BR/><FONT POINT-SIZE="9" COLOR="#4d596b"> float32[batch, 1] </FONT>>, tooltip="fc_0.tmp_1 float32[batch, 1] → relu.x"]
      op_0_3 -> op_0_4 [color="#2a6ab3", label=<<FONT POINT-SIZE="9" COLOR="#4d596b"> fc_0.tmp_2 </FONT><BR/><FONT POINT-SIZE="9" COLOR="#4d596b"> float32[batch, 1] </FONT>>, tooltip="fc_0.tmp_2 float32[batch, 1] → square.x"]
      op_0_4 -> op_0_5 [color="#2a6ab3", label=<<FONT POINT-SIZE="9" COLOR="#4d596b"> square_0.tmp_0 </FONT><BR/><FONT POINT-SIZE="9" COLOR="#4d596b"> float32[batch, 1] </FONT>>, tooltip="square_0.tmp_0 float32[batch, 1] → mean.x"]
      var_4 -> op_0_15 [color="#1a7653", tooltip="reduce_sum_0.grad_0 float32[1] → sgd.grad"]
      var_5 -> op_0_15 [color="#1a7653", minlen=0, tooltip="learning_rate_0 float32[] → sgd.learningRate"]
      var_2 -> op_0_15 [color="#1a7653", style=dashed, weight=0, dir=both, tooltip="sgd writes fc_0.b_0 float32[1]\\nfc_0.b_0 float32[1] → sgd.param"]
      var_3 -> op_0_16 [color="#1a7653", tooltip="matmul_0.grad_0 float32[4, 1] → sgd.grad"]
      var_5 -> op_0_16 [color="#1a7653", tooltip="learning_rate_0 float32[] → sgd.learningRate"]
      var_1 -> op_0_16 [color="#1a7653", style=dashed, weight=0, dir=both, tooltip="sgd writes fc_0.w_0 float32[4, 1]\\nfc_0.w_0 float32[4, 1] → sgd.param"]
    }
    "
  `)
})

test("backward edges are written head first, so that the layout mirrors forward", () => {
  const edgesOf = (options: PictureOptions) =>
    toDot(net(1), { detail: "essential", ...options })
      .split("\n")
      .flatMap((line) => /op_0_1\d -> op_0_1\d|dir=back/g.exec(line)?.[0] ?? [])
  expect(edgesOf({})).toMatchInlineSnapshot(`
    [
      "dir=back",
      "dir=back",
      "op_0_12 -> op_0_10",
      "op_0_12 -> op_0_11",
      "op_0_13 -> op_0_12",
      "op_0_14 -> op_0_12",
      "op_0_14 -> op_0_15",
      "op_0_13 -> op_0_16",
    ]
  `)
  expect(edgesOf({ mirror: false })).toMatchInlineSnapshot(`
    [
      "op_0_10 -> op_0_12",
      "op_0_11 -> op_0_12",
      "op_0_12 -> op_0_13",
      "op_0_12 -> op_0_14",
      "op_0_14 -> op_0_15",
      "op_0_13 -> op_0_16",
    ]
  `)
})

describe("Graphviz takes", () => {
  const programs = { net: () => net(3, { isScoped: true }), loops, nasty: () => nasty() }
  const variants: PictureOptions[] = [
    {},
    { detail: "full", direction: "right", theme: "dark", sites: true },
    { showVariables: "nodes", mirror: false, legend: false, attributes: false },
    { collapse: "scope", title: nastyNames.join(" ") },
    { collapse: "layer", names: true },
    { maxOps: 4 },
    { parts: ["backward"] },
    { parts: ["schedule"] },
  ]
  for (const [name, build] of Object.entries(programs)) {
    test.each(variants)(`${name} with %j`, (options) => {
      const result = viz.render(toDot(build(), options), { format: "svg" })
      // The arrow of "→ loss" is not in its tables of widths; it says so and goes on.
      const errors = result.errors.filter(({ message }) => !message.includes("non-ASCII character"))
      expect([result.status, errors]).toEqual(["success", []])
    })
  }
})

test("names that mean something in DOT, in its labels or in HTML stand in the picture as they are", () => {
  const title = nastyNames.join(" ")
  const texts = textsOf(viz.renderString(toDot(nasty(), { title }), { format: "svg" }))
  expect(texts).toContain(visible(title))
  for (const name of nastyNames.map(visible)) {
    // Once for the variable; once for the scope, in whose name a slash would divide.
    expect(texts.filter((text) => text === name || text === name.replaceAll("/", "|"))).toHaveLength(2)
  }
})

test("long names keep their beginning and end", () => {
  const name = `${"very_".repeat(60)}long`
  const texts = textsOf(viz.renderString(toDot(nasty([name])), { format: "svg" }))
  expect(texts.filter((text) => text.startsWith("very"))).toEqual([
    "very_very_very_very_ve…y_very_very_very_long",
    "very_very_very_very_ve…y_very_very_very_long",
  ])
})
