// Numbers with units, and instants in local time with UTC on hover.

import { h, setAttr, setText } from "./dom.js";

const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
const NAMES = {
  cpu_cores_used: "CPU",
  memory_bytes: "Memory",
  disk_read_bytes_per_s: "Disk read",
  disk_write_bytes_per_s: "Disk write",
  network_receive_bytes_per_s: "Network in",
  network_transmit_bytes_per_s: "Network out",
  requests_per_s: "Requests",
  latency_ms: "Latency",
  errors_per_s: "Errors",
};
const UNITS = { cpu_cores_used: "cores", memory_bytes: "By" };
const PLATFORMS = { simulated: "Simulated cloud", kubernetes: "Kubernetes", openstack: "OpenStack", "observed-only": "Observed only" };

/** What of a capacity the demand that a KPI measures draws on. */
export const CAPACITY_OF = { cpu_cores_used: "cpu_cores", memory_bytes: "memory_bytes" };

export const platformName = (platform) => PLATFORMS[platform] ?? platform;

/** A readable name of a KPI. */
export const kpiName = (kpi) => NAMES[kpi] ?? kpi.replaceAll("_", " ");

/** Unit of a resource, for records that do not carry it. */
export const unitOf = (resource) => UNITS[resource] ?? "";

/** How to show values of `unit` up to the magnitude of `magnitude`: divide, then say `label`. */
export function scaleFor(unit, magnitude) {
  const size = Math.abs(magnitude) || 0;
  if (unit === "By" || unit === "By/s") {
    let power = 0;
    while (power < BINARY.length - 1 && size >= 1024 ** (power + 1)) power += 1;
    return { divisor: 1024 ** power, label: `${BINARY[power]}B${unit === "By/s" ? "/s" : ""}` };
  }
  if (unit === "ms" && size >= 1000) return { divisor: 1000, label: "s" };
  if (unit === "1/s") return { divisor: 1, label: "/s" };
  return { divisor: 1, label: unit === "1" ? "" : unit };
}

/** A number in few digits: three significant ones below 100, whole above. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return value.toExponential(2);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString(undefined, { minimumFractionDigits: 0, maximumFractionDigits: size < 0.1 ? 3 : digits });
}

/** One value with its unit. */
export function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  const scale = scaleFor(unit, value);
  return `${number(value / scale.divisor)}${scale.label ? `\u00a0${scale.label}` : ""}`;
}

/** Used of capacity, in one unit. */
export function usedOf(used, capacity, unit) {
  if (capacity === null || capacity === undefined) return quantity(used, unit);
  const scale = scaleFor(unit, Math.max(capacity, used ?? 0));
  const of = (v) => (v === null || v === undefined ? "–" : number(v / scale.divisor));
  return `${of(used)} / ${of(capacity)}\u00a0${scale.label}`;
}

export const percent = (share, digits = 0) =>
  share === null || share === undefined || !Number.isFinite(share) ? "–" : `${(share * 100).toFixed(digits)}\u00a0%`;

/** A length of time in the largest unit that fits. */
export function duration(seconds) {
  const size = Math.abs(seconds);
  if (size > 0 && size % 86400 === 0) return `${number(seconds / 86400)}\u00a0d`;
  if (size > 0 && size % 3600 === 0) return `${number(seconds / 3600)}\u00a0h`;
  if (size < 90) return `${Math.round(seconds)}\u00a0s`;
  if (size < 5400) return `${number(Math.round(seconds / 6) / 10)}\u00a0min`;
  if (size < 172800) return `${number(Math.round(seconds / 360) / 10)}\u00a0h`;
  return `${number(Math.round(seconds / 8640) / 10)}\u00a0d`;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const DAY = { year: "numeric", month: "short", day: "numeric" };

/** Local clock time, with the date when it is not that of `reference_ms`. */
export function clock(at_ms, reference_ms = Date.now()) {
  const at = new Date(at_ms);
  const time = at.toLocaleTimeString(undefined, CLOCK);
  if (at.toDateString() === new Date(reference_ms).toDateString()) return time;
  return `${at.toLocaleDateString(undefined, DAY)} ${time}`;
}

export const utc = (at_ms) => `${new Date(at_ms).toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;

/** A <time> element, brought up to date by `setTime`. */
export const timeNode = () => h("time");

export function setTime(node, at_ms, reference_ms) {
  setText(node, clock(at_ms, reference_ms));
  setAttr(node, "datetime", new Date(at_ms).toISOString());
  setAttr(node, "title", utc(at_ms));
}

/** What decisions were worth, as a sentence; empty before the first hour is over. */
export function worthText(worth) {
  if (!worth) return "";
  return `${worth.sentence[0].toUpperCase()}${worth.sentence.slice(1)}.`;
}

/** Capacity as replicas of a size: `3 × 2 cores, 4 GiB`. */
export function capacityText(capacity) {
  if (!capacity) return "unknown";
  const type = capacity.instance_type ? `${capacity.instance_type} ` : "";
  const size = `${quantity(capacity.cpu_cores_per_replica, "cores")}, ${quantity(capacity.memory_bytes_per_replica, "By")}`;
  return type ? `${capacity.replicas} × ${type.trim()} (${size})` : `${capacity.replicas} × ${size}`;
}

/** What changes between two capacities, in the fewest words. */
export function changeText(from, to) {
  const parts = [];
  if (from.replicas !== to.replicas) parts.push(`${from.replicas} → ${to.replicas} replicas`);
  if ((from.instance_type ?? "") !== (to.instance_type ?? "")) parts.push(`${from.instance_type ?? "no type"} → ${to.instance_type ?? "no type"}`);
  else {
    if (from.cpu_cores_per_replica !== to.cpu_cores_per_replica) {
      parts.push(`${number(from.cpu_cores_per_replica)} → ${number(to.cpu_cores_per_replica)}\u00a0cores`);
    }
    if (from.memory_bytes_per_replica !== to.memory_bytes_per_replica) {
      const scale = scaleFor("By", Math.max(from.memory_bytes_per_replica, to.memory_bytes_per_replica));
      const of = (v) => number(v / scale.divisor);
      parts.push(`${of(from.memory_bytes_per_replica)} → ${of(to.memory_bytes_per_replica)}\u00a0${scale.label}`);
    }
  }
  return parts.length ? parts.join(", ") : "no change";
}
