"""What a page has to look like, whoever it is for."""

from __future__ import annotations

from playwright.sync_api import ViewportSize

PHONE = ViewportSize(width=375, height=812)
CONTRAST_WANTED = 4.5  # WCAG 2.2, 1.4.3
# The lowest contrast of any element's own words against the nearest opaque ground, by WCAG's relative luminance.
WEAKEST_CONTRAST = r"""() => {
  const rgb = (colour) => colour.match(/[\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    const colour = rgb(getComputedStyle(element).backgroundColor);
    return colour.length < 4 || colour[3] > 0 ? colour : ground(element.parentElement);
  };
  const speaks = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const contrast = (element) => {
    const pair = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  };
  const all = [...document.querySelectorAll("body *")].filter(speaks);
  return all.map((element) => [contrast(element), element.textContent.trim()]).sort((a, b) => a[0] - b[0])[0];
}"""
