// The conformance table of autodiff, on the reference backend.

import { autodiffCases } from "@counterflow/testing"
import { register } from "./registering.ts"

register(autodiffCases())
