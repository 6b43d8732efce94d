// Two test projects over the package sources (no build needed): `node`, and `browser` where a Chromium is at hand.
// The default resolve conditions are listed as well, because naming any replaces them all.
import { existsSync } from "node:fs"
import { playwright } from "@vitest/browser-playwright"
import { defineConfig, type TestProjectConfiguration } from "vitest/config"

const chromium = process.env["CHROMIUM"] ?? "/usr/bin/chromium"
const testsOf = (suffix: string) =>
  ["packages/*/test", "apps/*/test", "tools/test"].map((folder) => `${folder}/**/*.${suffix}`)

const node: TestProjectConfiguration = {
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  // Files of one worker share their modules: importing all sources anew for each file took longer than the tests.
  test: { name: "node", include: testsOf("test.ts"), exclude: testsOf("browser.test.ts"), isolate: false },
}

const browser: TestProjectConfiguration = {
  // Both headers together make the page cross-origin isolated, which SharedArrayBuffer demands.
  server: {
    headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" },
  },
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  test: {
    name: "browser",
    include: testsOf("browser.test.ts"),
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath: chromium,
          args: [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
          ],
        },
      }),
      instances: [{ browser: "chromium" }],
    },
  },
}

const hasChromium = existsSync(chromium)
if (!hasChromium) {
  console.log(`No Chromium at ${chromium}: the browser tests are left out (set CHROMIUM to the path of one).`)
}

export default defineConfig({
  test: {
    reporters: ["default", "./tools/summary.ts"],
    projects: hasChromium ? [node, browser] : [node],
  },
})
