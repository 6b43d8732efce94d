// Node alone: what every program below pays.
import { report } from "../../dist/cold/sample.js"

report(0)
