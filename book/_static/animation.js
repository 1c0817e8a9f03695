// Animations can be stopped: a button beneath each, and none moves for readers who ask their system for less motion.
// A stopped animation is its picture as a canvas shows it, the first frame.
(function () {
  "use strict";
  function equip(film) {
    const canvas = document.createElement("canvas");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "animation-button";
    canvas.className = film.className;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", film.alt);
    film.after(canvas, button);

    function move(moving) {
      film.hidden = !moving;
      canvas.hidden = moving;
      button.textContent = moving ? "Pause" : "Play";
    }

    canvas.width = film.naturalWidth;
    canvas.height = film.naturalHeight;
    canvas.getContext("2d").drawImage(film, 0, 0);
    button.addEventListener("click", function () { move(film.hidden); });
    move(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
  }
  window.addEventListener("load", function () {
    for (const film of document.querySelectorAll("div.cell_output img[src$='.gif']")) {
      if (film.complete && film.naturalWidth) equip(film);
      else film.addEventListener("load", function () { equip(film); }, { once: true });
    }
  });
})();
