// A formula within a line cannot be broken; one that is wider than its paragraph gets a scroll bar of its own, so that
// the page does not. Formulas that fit are left alone: a scrolling box would move their baseline.
(function () {
  "use strict";
  function mark() {
    for (const formula of document.querySelectorAll("article mjx-container:not([display='true'])")) {
      formula.classList.remove("wide-formula");
      const block = formula.closest("p, li, td, dd, figcaption, h1, h2, h3");
      if (block && formula.getBoundingClientRect().width > block.getBoundingClientRect().width) {
        formula.classList.add("wide-formula");
      }
    }
  }
  window.addEventListener("load", function () {
    if (!window.MathJax || !MathJax.startup) return;
    MathJax.startup.promise.then(mark);
    let pending = 0;
    window.addEventListener("resize", function () {
      clearTimeout(pending);
      pending = setTimeout(mark, 150);
    });
  });
})();
