"use strict";
// The volumes of a patient, which lie in the page as gzip in base64.
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

async function inflate(id) {  // an ArrayBuffer; null where the page has no such volume
  const element = document.getElementById(id);
  if (!element) return null;
  const stream = new Blob([bytesOf(element.textContent.trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function readVolumes(patient, models) {  // by the number of the patient and how many models there are
  const names = ["mr", "ct", "labels", ...Array.from({ length: models }, (_, i) => `sct-${i}`)];
  const [mr, ct, labels, ...scts] = await Promise.all(names.map((name) => inflate(`volume-${patient}-${name}`)));
  return { mr: mr && new Uint8Array(mr), ct: new Int16Array(ct), labels: new Uint8Array(labels),
    scts: scts.map((sct) => new Int16Array(sct)) };
}
