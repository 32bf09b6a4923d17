"use strict";
// What is drawn over the image of a pane: crosshair, what it shows, sides of the patient, a bar of 50 mm.

// ``marks``: words (a line each, the first bold); sides (left, right, top and bottom letter); ratio of screen to CSS pixels;
// barLength in screen pixels, and its words; the crosshair's {x, y} in screen pixels, or null.
function drawMarks(context, marks) {
  const { ratio, barLength } = marks, { width, height } = context.canvas, edge = 5 * ratio;
  if (marks.crosshair) drawCrosshair(context, marks.crosshair, ratio);
  const say = (text, x, y, align, baseline, bold) => {
    const room = width - 2 * edge;
    context.font = `${bold ? "600 " : ""}${12 * ratio}px system-ui, sans-serif`;
    context.textAlign = align;
    context.textBaseline = baseline;
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "rgba(0, 0, 0, 0.8)";
    context.fillStyle = "#fff";
    context.strokeText(text, x, y, room);
    context.fillText(text, x, y, room);
  };
  const [left, right, top, bottom] = marks.sides;
  marks.words.forEach((words, line) => say(words, edge, edge + 14 * line * ratio, "left", "top", line === 0));
  say(left, edge, height / 2, "left", "middle");
  say(right, width - edge, height / 2, "right", "middle");
  say(top, width / 2, edge, "center", "top");
  say(bottom, width / 2, height - edge, "center", "bottom");
  context.fillStyle = "#000";
  context.fillRect(width - edge - barLength - ratio, height - edge - 4 * ratio, barLength + 2 * ratio, 4 * ratio);
  context.fillStyle = "#fff";
  context.fillRect(width - edge - barLength, height - edge - 3 * ratio, barLength, 2 * ratio);
  say(marks.barWords, width - edge, height - edge - 5 * ratio, "right", "bottom");
}

function drawCrosshair(context, { x, y }, ratio) {
  const { width, height } = context.canvas;
  context.strokeStyle = "rgba(255, 214, 10, 0.85)";
  context.lineWidth = ratio;
  context.beginPath();
  for (const gap of [-1, 1]) {
    context.moveTo(x + gap * 7 * ratio, y);
    context.lineTo(gap < 0 ? 0 : width, y);
    context.moveTo(x, y + gap * 7 * ratio);
    context.lineTo(x, gap < 0 ? 0 : height);
  }
  context.stroke();
}
