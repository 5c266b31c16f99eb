// The servers of a configuration file.
import { describe, expect, test } from "vitest";
import { mistakesOf, oneDatabase, readConfigText } from "../../../../test/support/config-file.ts";

function mcpOf(keys: string): unknown {
  return readConfigText(`${keys}\n${oneDatabase}`).mcp;
}

describe("servers", () => {
  test("the control socket is off, and where Litestream has it, unless the file says otherwise", () => {
    const path = "/var/run/litestream.sock";
    expect(readConfigText(oneDatabase).socket).toEqual({ isEnabled: false, path, mode: 0o600 });
    expect(readConfigText(`socket:\n  enabled: true\n${oneDatabase}`).socket).toEqual({
      isEnabled: true,
      path,
      mode: 0o600,
    });
    const full = `socket:\n  enabled: true\n  path: /run/hw.sock\n  permissions: 0660\n${oneDatabase}`;
    expect(readConfigText(full).socket).toEqual({
      isEnabled: true,
      path: "/run/hw.sock",
      mode: 0o660,
    });
    expect(mistakesOf(`socket:\n  permissions: 600\n${oneDatabase}`)).toEqual([
      '2:3: socket.permissions must be permissions in octal with a leading 0, such as 0600, not "600".',
    ]);
  });

  test("the MCP server is for this machine, or for whoever has the token", () => {
    const token = "0123456789abcdef";
    expect(readConfigText(oneDatabase).mcp).toBeUndefined();
    expect(mcpOf('mcp-addr: ":3001"')).toEqual({ host: "127.0.0.1", port: 3001, token: undefined });
    expect(mcpOf("mcp-addr: localhost:3001")).toMatchObject({ host: "localhost" });
    expect(mcpOf(`mcp-addr: 0.0.0.0:3001\nmcp-token: ${token}`)).toEqual({
      host: "0.0.0.0",
      port: 3001,
      token,
    });
    expect(mistakesOf(`mcp-addr: 0.0.0.0:3001\n${oneDatabase}`)).toEqual([
      expect.stringContaining(
        "1:1: mcp-addr can be reached from other machines, and needs mcp-token.",
      ),
    ]);
    expect(mistakesOf(`mcp-addr: 3001\nmcp-token: short\n${oneDatabase}`)).toEqual([
      "1:1: mcp-addr must be a host and a port, such as 127.0.0.1:3001.",
      "2:1: mcp-token must have at least 16 characters.",
    ]);
  });
});
