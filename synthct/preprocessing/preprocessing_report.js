"use strict";
// The box that shows the flagged cases alone.
const only = document.getElementById("only"), shown = document.getElementById("shown");
const cases = [...document.querySelectorAll(".case")];
function filter() {
  for (const one of cases) one.hidden = only.checked && !one.classList.contains("flagged");
  shown.textContent = `${cases.filter(one => !one.hidden).length} of ${cases.length} cases shown`;
}
only.addEventListener("change", filter);
window.addEventListener("hashchange", () => {  // a link to a case that is filtered away shows all
  const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (aim && aim.hidden) { only.checked = false; filter(); aim.scrollIntoView(); }
});
filter();
