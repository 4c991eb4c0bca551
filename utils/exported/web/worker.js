"use strict";
// Off the page's own thread, so that it answers while the network runs.
const PADDED_TO = 32;
const STRIP = 256;  // rows of an image that are read at once
const MOST_PIXELS = 1e8;
let ort = null, session = null;

function resizedSize(width, height, limits) {
  const scale = Math.min(limits.img_size / Math.min(width, height), limits.long_side / Math.max(width, height));
  return [Math.floor(width * scale), Math.floor(height * scale)];
}

// Sample places of one axis as OpenCV and torch have them: pixel centres, and at the border the border's own value.
function samples(from, to) {
  const low = new Int32Array(to), high = new Int32Array(to), weight = new Float32Array(to);
  for (let i = 0; i < to; i += 1) {
    const at = Math.max(0, (i + 0.5) * (from / to) - 0.5);
    low[i] = Math.min(Math.floor(at), from - 1);
    high[i] = Math.min(low[i] + 1, from - 1);
    weight[i] = high[i] > low[i] ? at - low[i] : 0;
  }
  return { low, high, weight };
}

// Returns the network's input of an image: bilinear without antialiasing, which a canvas does otherwise; RGB from 0 to
// 1, one colour after the other, padded on the right and below. `rowsAt(top, count)` gives rows of RGBA bytes.
function networkInput(width, height, limits, rowsAt) {
  const [w, h] = resizedSize(width, height, limits);
  const [padW, padH] = [w, h].map((side) => Math.ceil(side / PADDED_TO) * PADDED_TO);
  const values = new Float32Array(3 * padW * padH), plane = padW * padH;
  const x = samples(width, w), y = samples(height, h);
  let top = 0, rows = new Uint8ClampedArray(0), transparent = false;
  for (let j = 0; j < h; j += 1) {
    if (y.high[j] >= top + rows.length / (4 * width)) {
      top = y.low[j];
      rows = rowsAt(top, Math.min(Math.max(STRIP, y.high[j] - top + 1), height - top));
      for (let k = 3; k < rows.length && !transparent; k += 4) transparent = rows[k] < 255;
    }
    const upper = (y.low[j] - top) * width * 4, lower = (y.high[j] - top) * width * 4, wy = y.weight[j];
    for (let i = 0; i < w; i += 1) {
      const left = 4 * x.low[i], right = 4 * x.high[i], wx = x.weight[i], place = j * padW + i;
      for (let c = 0; c < 3; c += 1) {
        const above = rows[upper + left + c] * (1 - wx) + rows[upper + right + c] * wx;
        const below = rows[lower + left + c] * (1 - wx) + rows[lower + right + c] * wx;
        values[c * plane + place] = (above * (1 - wy) + below * wy) / 255;
      }
    }
  }
  return { values, w, h, padW, padH, transparent };
}

// Reads a bitmap strip by strip: a canvas of the whole of it is more than a phone allows.
function rowReader(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, Math.min(STRIP, bitmap.height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return (top, count) => {
    if (canvas.height < count) canvas.height = count;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, top, bitmap.width, count, 0, 0, bitmap.width, count);
    return context.getImageData(0, 0, bitmap.width, count).data;
  };
}

async function load({ runtime, wasm, model }) {
  const address = URL.createObjectURL(new Blob([runtime], { type: "text/javascript" }));
  ort = await import(address);
  ort.env.wasm.numThreads = 1;  // more need headers that a plain server does not send
  ort.env.wasm.wasmBinary = wasm;
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
}

async function detect({ bitmap, limits }) {
  const { width, height } = bitmap;
  const started = performance.now();
  try {
    if (width * height > MOST_PIXELS) {
      throw new Error(`too large: ${width} × ${height} pixels, and a page takes 100 million; make it smaller first`);
    }
    if (Math.min(...resizedSize(width, height, limits)) < 1) {
      throw new Error(`too thin for the network: ${width} × ${height} pixels; cut it into parts`);
    }
    const input = networkInput(width, height, limits, rowReader(bitmap));
    const found = await session.run({
      images: new ort.Tensor("float32", input.values, [1, 3, input.padH, input.padW]),
      sizes_hw: new ort.Tensor("float32", [input.h, input.w], [1, 2]),
    });
    const count = Number(found.counts.data[0]);
    const detections = [];
    for (let i = 0; i < count; i += 1) {
      const [x1, y1, x2, y2] = found.boxes.data.subarray(4 * i, 4 * i + 4);
      const box = [x1 * (width / input.w), y1 * (height / input.h), x2 * (width / input.w), y2 * (height / input.h)];
      detections.push({ box, score: found.scores.data[i], label: Number(found.labels.data[i]) });
    }
    return { width, height, detections, transparent: input.transparent, seconds: (performance.now() - started) / 1000 };
  } finally {
    bitmap.close();
  }
}

self.onmessage = async ({ data: { id, task, values } }) => {
  try {
    self.postMessage({ id, value: await (task === "load" ? load : detect)(values) });
  } catch (error) {
    self.postMessage({ id, error: String(error && error.message || error) });
  }
};
