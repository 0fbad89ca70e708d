// What all parts of the page need: the data, elements, and texts that are shown as they are, whatever is in them.
'use strict';
let errors = 0;
const wrong = () => { errors += 1; document.body.dataset.errors = String(errors); };
addEventListener('error', wrong);
addEventListener('unhandledrejection', wrong);
addEventListener('securitypolicyviolation', wrong);
const data = JSON.parse(document.getElementById('data').textContent);
const by = id => document.getElementById(id);
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Characters that turn or hide their neighbours are shown by their numbers.
const visible = text => String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
  found => '\u27e8U+' + found.codePointAt(0).toString(16).toUpperCase().padStart(4, '0') + '\u27e9');

// An element with a class, texts and elements in it; texts are texts.
function make(name, about, ...inside) {
  const space = about && about.svg ? 'http://www.w3.org/2000/svg' : null;
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(about || {})) {
    if (key === 'svg' || value === null || value === undefined) continue;
    if (key === 'on') for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    else element.setAttribute(key, value);
  }
  for (const one of inside.flat()) if (one !== null) element.append(one instanceof Node ? one : visible(one));
  return element;
}
const svg = (name, about, ...inside) => make(name, { svg: true, ...about }, ...inside);
const fill = (element, ...inside) => { element.replaceChildren(...inside.flat().filter(one => one !== null).map(one => one instanceof Node ? one : visible(one))); };
const show = (element, is) => { element.hidden = !is; };

const number = value => Number(value).toLocaleString('en-US', { maximumFractionDigits: 0 });
const digits = (value, count) => Number(value).toLocaleString('en-US', { maximumSignificantDigits: count, useGrouping: false });
function milliseconds(value) {
  if (value === 0) return '0';
  if (value < 1) return digits(value * 1000, 3) + ' \u00b5s';
  if (value < 1000) return digits(value, 3) + ' ms';
  if (value < 120e3) return digits(value / 1000, 3) + ' s';
  if (value < 7200e3) return digits(value / 60e3, 3) + ' min';
  return digits(value / 3600e3, 3) + ' h';
}
const span = micros => milliseconds(micros / 1000);
// A moment, as exact as what is seen of the run wants it.
function moment(micros, seen) {
  const places = seen > 100e6 ? 0 : seen > 10e6 ? 1 : seen > 1e6 ? 2 : seen > 100e3 ? 3 : 4;
  return (micros / 1e6).toFixed(places) + ' s';
}
const plural = (count, one, many) => number(count) + ' ' + (count === 1 ? one : many || one + 's');
const glyph = verdict => verdict === 'ok' ? '\u2713' : verdict === 'FAILED' ? '\u2717' : '\u2260';
const figures = (list, pairs) => fill(list, pairs.map(([name, value]) => make('div', null, make('dt', null, name), make('dd', null, value))));
