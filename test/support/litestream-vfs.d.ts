declare module "litestream-vfs" {
  export function getLoadablePath(): string;
}
