"use strict";
// One slice of one pane as pixels; what the three planes are.
const UNKNOWN = 2, INSIDE = 1;  // bits of the labels
const PLANES = {  // fixed, right and down axis of the screen; the head is up
  axial: { fixed: "z", right: "x", down: "y", flip: false, sides: "RLAP", towards: "SI" },
  coronal: { fixed: "y", right: "x", down: "z", flip: true, sides: "RLSI", towards: "PA" },
  sagittal: { fixed: "x", right: "y", down: "z", flip: true, sides: "APSI", towards: "LR" },
};

// Paint a slice of a volume, RGBA, rows from above. ``kind``: mr, sct, ct or error. ``view``: the volumes mr, ct, sct and
// labels (z, y, x) with their strides; the place ``at``; HU a grey step; window [low, high] in HU; colours (256 x RGB) over
// -most..most HU, or 0..most where not ``signed``; whether the error lies over the CTs.
function paintSlice(pixels, columns, rows, plane, kind, view) {
  const { fixed, right, down, flip } = PLANES[plane], { mr, ct, sct, labels, stride, step, most, signed, colours } = view;
  const [low, high] = view.window, start = view.at[fixed] * stride[fixed];
  for (let row = 0, out = 0; row < rows; row++) {
    let index = start + (flip ? rows - 1 - row : row) * stride[down];
    for (let column = 0; column < columns; column++, index += stride[right], out += 4) {
      const label = labels[index];
      let red, green, blue;
      if (label & UNKNOWN && (kind === "ct" || kind === "error")) {
        [red, green, blue] = (row + column) % 8 < 2 ? [108, 104, 146] : [52, 50, 72];
      } else if (kind === "error") {
        red = green = blue = 24;
      } else {
        const grey = kind === "mr" ? mr[index] : ((kind === "ct" ? ct : sct)[index] * step - low) / (high - low) * 255;
        red = green = blue = Math.min(255, Math.max(0, grey));
      }
      if (label & INSIDE && (kind === "error" || view.overlay)) {
        const share = Math.max(-1, Math.min(1, (sct[index] - ct[index]) * step / most));
        const place = 3 * Math.round(signed ? (share + 1) / 2 * 255 : Math.abs(share) * 255);
        const opacity = kind === "error" ? 1 : 0.75 * Math.abs(share);
        red += (colours[place] - red) * opacity;
        green += (colours[place + 1] - green) * opacity;
        blue += (colours[place + 2] - blue) * opacity;
      }
      pixels[out] = red;
      pixels[out + 1] = green;
      pixels[out + 2] = blue;
      pixels[out + 3] = 255;
    }
  }
}
