// Addresses to listen on.
import { describe, expect, it } from "vitest";
import { isLoopback, parseAddress } from "./address.ts";

describe("parseAddress", () => {
  it.each([
    ["localhost:9090", { host: "localhost", port: 9090 }],
    ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
    [":3001", { host: undefined, port: 3001 }],
    ["[::1]:3001", { host: "::1", port: 3001 }],
    ["host.example:65535", { host: "host.example", port: 65_535 }],
  ])("reads %s", (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  it.each([
    "",
    "9090",
    "localhost",
    "localhost:",
    "localhost:65536",
    "::1:80",
    "http://a:1",
    "a b:1",
  ])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe("isLoopback", () => {
  it.each(["localhost", "127.0.0.1", "127.8.9.1", "::1"])("is true for %s", (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each(["0.0.0.0", "::", "10.0.0.1", "localhost.example", "128.0.0.1"])(
    "is false for %s",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
