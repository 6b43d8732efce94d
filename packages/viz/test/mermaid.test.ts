// The Mermaid text: its form, and that no name can leave its quotes.
import { describe, expect, test } from "vitest"
import { toMermaid } from "../src/index.ts"
import { visible } from "../src/text.ts"
import { loops, nasty, nastyNames, net } from "./programs.ts"

test("a net of one layer", () => {
  expect(toMermaid(net(1), { detail: "essential", title: 'The "one"' })).toMatchInlineSnapshot(`
    "---
    title: "The \\"one\\""
    ---
    flowchart TB
      subgraph cluster_0["forward"]
        var_0[/"x<br/>float32[batch, 4]"/]:::data
        var_1[("fc_0.w_0<br/>float32[4, 1]")]:::parameter
        var_2[("fc_0.b_0<br/>float32[1]")]:::parameter
        op_0_0("matmul<br/>alpha: 1"):::forward
        op_0_2("add"):::forward
        op_0_3("relu"):::forward
        op_0_4("square"):::forward
        op_0_5("mean<br/>→ mean_0.tmp_0<br/>float32[]"):::loss
      end
      subgraph cluster_1["backward"]
        op_0_6("fillConstant<br/>value: 1"):::backward
        op_0_8("mul<br/>y = 2"):::backward
        op_0_10("mul"):::backward
        op_0_11("sign"):::backward
        op_0_12("mul"):::backward
        op_0_13("matmul<br/>transposeX: true, alpha: 1"):::backward
        op_0_14("reduceSum<br/>axis: [0]"):::backward
      end
      subgraph cluster_2["update"]
        var_3{{"learning_rate_0<br/>float32[]"}}:::state
        op_0_15("sgd"):::optimize
        op_0_16("sgd"):::optimize
      end
      var_0 --> op_0_0
      var_1 --> op_0_0
      op_0_0 -->|"fc_0.tmp_0<br/>float32[batch, 1]"| op_0_2
      var_2 --> op_0_2
      op_0_2 -->|"fc_0.tmp_1<br/>float32[batch, 1]"| op_0_3
      op_0_3 -->|"fc_0.tmp_2<br/>float32[batch, 1]"| op_0_4
      op_0_4 -->|"square_0.tmp_0<br/>float32[batch, 1]"| op_0_5
      op_0_5 ==> op_0_6
      op_0_3 --> op_0_8
      op_0_8 -->|"mul_0.grad_0<br/>float32[batch, 1]"| op_0_10
      op_0_6 -->|"broadcast_to_0.broadcast_0<br/>float32[batch, 1]"| op_0_10
      op_0_3 --> op_0_11
      op_0_10 -->|"mul_1.grad_0<br/>float32[batch, 1]"| op_0_12
      op_0_11 -->|"sign_0.grad_0<br/>float32[batch, 1]"| op_0_12
      var_0 --> op_0_13
      op_0_12 -->|"mul_2.grad_0<br/>float32[batch, 1]"| op_0_13
      op_0_12 --> op_0_14
      op_0_14 -->|"reduce_sum_0.grad_0<br/>float32[1]"| op_0_15
      var_3 --> op_0_15
      var_2 <-.-> op_0_15
      op_0_13 -->|"matmul_0.grad_0<br/>float32[4, 1]"| op_0_16
      var_3 --> op_0_16
      var_1 <-.-> op_0_16
      subgraph legend
        direction LR
        legend_0("forward"):::forward
        legend_1("backward"):::backward
        legend_2("update"):::optimize
        legend_3[("parameter")]:::parameter
        legend_4{{"state"}}:::state
        legend_5[/"data"/]:::data
        legend_6("loss"):::loss
        legend_7["⇠ dashed: new value of state"]:::note
        legend_8["not drawn: 2 broadcastTo, 1 fillConstant (3 operators)"]:::note
      end
      classDef forward fill:#d6e6fa,stroke:#2a6ab3,color:#1a2230
      classDef backward fill:#fde0cb,stroke:#b8530d,color:#1a2230
      classDef optimize fill:#cdeedd,stroke:#1a7653,color:#1a2230
      classDef schedule fill:#e8daf7,stroke:#7744ae,color:#1a2230
      classDef parameter fill:#fbf0b9,stroke:#846800,color:#1a2230
      classDef state fill:#e4e8ee,stroke:#5a6678,color:#1a2230
      classDef data fill:#fefeff,stroke:#3d4a5e,color:#1a2230
      classDef value fill:#f5f7fa,stroke:#8792a4,color:#1a2230
      classDef loss fill:#fbd3de,stroke:#b01440,color:#1a2230,stroke-width:3px
      classDef note fill:transparent,stroke:transparent
      style legend fill:transparent,stroke:transparent
      style cluster_0 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3
      style cluster_1 fill:#fef6f0,stroke:#b8530d,color:#b8530d
      style cluster_2 fill:#effaf4,stroke:#1a7653,color:#1a7653
    "
  `)
})

test("blocks are subgraphs within that of their operator", () => {
  expect(toMermaid(loops(), { detail: "essential", names: false, legend: false })).toMatchInlineSnapshot(`
    "flowchart TB
      subgraph cluster_0["forward"]
        var_0[/"x<br/>float32[batch, 2]"/]:::data
        var_4{{"total<br/>float32[2]"}}:::state
        op_0_2("reduceSum<br/>axis: [0]"):::forward
        op_0_3("write"):::forward
        subgraph cluster_1["outer"]
          var_1[("w<br/>float32[2, 2]")]:::parameter
          op_0_0("relu"):::forward
          subgraph cluster_2["test.repeat"]
            op_0_1("test.repeat<br/>count: 3"):::forward
            subgraph cluster_3["body"]
              var_2[/"carried_0<br/>float32[batch, 2]"/]:::data
              op_1_0("matmul<br/>alpha: 1"):::forward
              subgraph cluster_4["test.repeat"]
                op_1_1("test.repeat<br/>count: 2"):::forward
                subgraph cluster_5["body"]
                  var_3[/"carried_1<br/>float32[batch, 2]"/]:::data
                  op_2_0("mul"):::forward
                  op_2_2("add<br/>y = 0.5"):::forward
                end
              end
            end
          end
        end
      end
      var_0 --> op_0_0
      var_2 --> op_1_0
      var_1 --> op_1_0
      var_3 --> op_2_0
      op_2_0 -->|"float32[batch, 2]"| op_2_2
      op_1_0 -->|"float32[batch, 2]"| op_1_1
      op_2_2 -->|"float32[batch, 2]"| op_1_1
      op_1_1 -.-> var_3
      op_0_0 -->|"float32[batch, 2]"| op_0_1
      op_1_1 -->|"float32[batch, 2]"| op_0_1
      op_0_1 -.-> var_2
      op_0_1 -->|"float32[batch, 2]"| op_0_2
      op_0_2 -->|"float32[2]"| op_0_3
      op_0_3 -.-> var_4
      classDef forward fill:#d6e6fa,stroke:#2a6ab3,color:#1a2230
      classDef backward fill:#fde0cb,stroke:#b8530d,color:#1a2230
      classDef optimize fill:#cdeedd,stroke:#1a7653,color:#1a2230
      classDef schedule fill:#e8daf7,stroke:#7744ae,color:#1a2230
      classDef parameter fill:#fbf0b9,stroke:#846800,color:#1a2230
      classDef state fill:#e4e8ee,stroke:#5a6678,color:#1a2230
      classDef data fill:#fefeff,stroke:#3d4a5e,color:#1a2230
      classDef value fill:#f5f7fa,stroke:#8792a4,color:#1a2230
      classDef loss fill:#fbd3de,stroke:#b01440,color:#1a2230,stroke-width:3px
      classDef note fill:transparent,stroke:transparent
      style cluster_0 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3
      style cluster_1 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3
      style cluster_2 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3
      style cluster_3 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3,stroke-dasharray:4 3
      style cluster_4 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3
      style cluster_5 fill:#f0f6fd,stroke:#2a6ab3,color:#2a6ab3,stroke-dasharray:4 3
    "
  `)
})

describe("names", () => {
  const quoted = /"([^"]*)"/g

  test("become quoted texts of plain characters and numeric entities", () => {
    const [, ...lines] = toMermaid(nasty()).split("flowchart TB")
    const texts = [...lines.join("").matchAll(quoted)].map(([, text = ""]) => text)
    for (const text of texts) expect(text.replaceAll("<br/>", "")).toMatch(/^([^<>"'`\\{}%&#$|~*!?^\n]|#\d+;)*$/)
    const plain = texts.map((text) => text.replace(/#(\d+);/g, (_entity, code) => String.fromCodePoint(Number(code))))
    for (const name of nastyNames) expect(plain).toContain(`${visible(name)}<br/>float32[batch, 2]`)
  })

  test("stand in no place but within quotes", () => {
    const outside = toMermaid(nasty()).replace(quoted, '""')
    const statement = new RegExp(
      [
        String.raw`flowchart TB`,
        String.raw`subgraph (cluster_\d+\[""\]|legend)|end|direction LR`,
        String.raw`(var|op|legend)[_\d]+(\(""\)|\[\/""\/\]|\[""\]):::\w+`,
        String.raw`\w+ -->(\|""\|)? \w+`,
        String.raw`classDef [\w :#,-]+|style [\w :#,-]+`,
      ]
        .map((line) => `^ *(${line})$`)
        .join("|"),
    )
    for (const line of outside.trimEnd().split("\n")) expect(line).toMatch(statement)
  })

  test("a title is one line of front matter", () => {
    const title = 'a\n---\nflowchart "x": \u0000'
    expect(
      toMermaid(nasty(["x"]), { title })
        .split("\n")
        .slice(0, 4),
    ).toEqual(["---", String.raw`title: "a␊---␊flowchart \"x\": ␀"`, "---", "flowchart TB"])
  })
})
