#!/usr/bin/env bash
# The journey in a real browser against a fresh demo. Needs Node and Chromium (CHROMIUM names it);
# BEHALF_BINARY names the server's program (default: the debug build).
set -euo pipefail
cd "$(dirname "$0")"
npm ci --silent
node journey.mjs
