#!/bin/sh
# Debian's chromium, for the tests that look at the UI. Without root or apt, those tests skip and say so.
command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || { echo "No chromium: install it (apt-get install chromium) to run the browser tests."; exit 0; }
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
