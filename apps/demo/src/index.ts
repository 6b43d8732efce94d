// The demo as a program: `npm run demo`, or `node dist/index.js --help`.

import { demo } from "./demo.ts"

process.exitCode = await demo(process.argv.slice(2), process.stdout, process.stderr)
