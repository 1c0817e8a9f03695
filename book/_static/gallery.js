// The gallery's filters. Their state is the address's hash (#part=kernels&time=under-10s), so that a view can be shared;
// an address made by hand or by an older book may name unknown values, which are ignored.
(function () {
  "use strict";
  function start() {
    const form = document.getElementById("gallery-filters");
    if (!form) return;
    const selects = Array.from(form.querySelectorAll("select[data-filter]"));
    const cards = Array.from(document.querySelectorAll("#gallery > .gallery-card"));
    const count = document.getElementById("gallery-count");

    function readHash() {
      const wanted = new URLSearchParams(location.hash.slice(1));
      for (const select of selects) {
        const value = wanted.get(select.name) || "";
        select.value = Array.from(select.options).some((o) => o.value === value) ? value : "";
      }
    }

    function writeHash() {
      const state = new URLSearchParams();
      for (const select of selects) if (select.value) state.set(select.name, select.value);
      const hash = state.toString();
      const address = location.pathname + location.search + (hash ? "#" + hash : "");
      history.replaceState(null, "", address);
    }

    function apply() {
      let shown = 0;
      for (const card of cards) {
        const fits = selects.every((select) => !select.value || card.dataset[select.name] === select.value);
        card.hidden = !fits;
        if (fits) shown += 1;
      }
      const noun = cards.length === 1 ? " figure" : " figures";
      count.textContent = shown === cards.length ? shown + noun : shown + " of " + cards.length + noun;
    }

    form.addEventListener("change", function () { writeHash(); apply(); });
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("reset", function () { setTimeout(function () { writeHash(); apply(); }); });
    window.addEventListener("hashchange", function () { readHash(); apply(); });
    readHash();
    apply();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
