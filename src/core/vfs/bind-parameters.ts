// Parameters of a statement: which value goes where, and what is wrong with those that go nowhere.
import { HeadwaterError } from "../base/errors.ts";
import type { SqlParameter, SqlParameters } from "./sql-values.ts";

/** The places of a statement's parameters, from 1. Each method returns a result code, 0 for success. */
export interface ParameterSlots {
  readonly count: number;
  /** With its `:`, `@` or `$`; `undefined` for a `?`. */
  nameOf(index: number): string | undefined;
  bindNull(index: number): number;
  bindBlob(index: number, bytes: Uint8Array): number;
  bindText(index: number, utf8: Uint8Array): number;
  bindInteger(index: number, value: bigint): number;
  bindDouble(index: number, value: number): number;
  /** What a code means, in words. */
  textOf(code: number): string;
}

const encoder = new TextEncoder();

const maxInt64 = 0x7fff_ffff_ffff_ffffn;

/** Binds all. Throws `usage/invalid` for one that is missing, unknown, or no value that SQLite has. */
export function bindParameters(slots: ParameterSlots, parameters: SqlParameters): void {
  const { count } = slots;
  if (isList(parameters)) {
    if (parameters.length !== count) {
      throw invalid(
        `The statement has ${count} parameters and ${parameters.length} values were given.`,
      );
    }
    for (const [index, value] of parameters.entries()) bindOne(slots, index + 1, value);
    return;
  }
  const isUsed = new Set<string>();
  for (let index = 1; index <= count; index++) {
    const name = slots.nameOf(index);
    if (name === undefined) {
      throw invalid(`Parameter ${index} has no name: give the values as a list.`);
    }
    const key = [name, name.slice(1)].find((one) => Object.hasOwn(parameters, one));
    if (key === undefined) throw invalid(`There is no value for the parameter ${name}.`);
    isUsed.add(key);
    bindOne(slots, index, parameters[key]);
  }
  const unknown = Object.keys(parameters).find((key) => !isUsed.has(key));
  if (unknown !== undefined) throw invalid(`The statement has no parameter ${unknown}.`);
}

function bindOne(slots: ParameterSlots, index: number, value: SqlParameter | undefined): void {
  const code = bindValue(slots, index, value);
  if (code !== 0) throw invalid(`Parameter ${index} cannot be bound: ${slots.textOf(code)}.`);
}

function bindValue(slots: ParameterSlots, index: number, value: SqlParameter | undefined): number {
  if (value === null) return slots.bindNull(index);
  if (value instanceof Uint8Array) return slots.bindBlob(index, value);
  if (typeof value === "string") return slots.bindText(index, encoder.encode(value));
  if (typeof value === "boolean") return slots.bindInteger(index, value ? 1n : 0n);
  if (typeof value === "number") {
    return Number.isSafeInteger(value)
      ? slots.bindInteger(index, BigInt(value))
      : slots.bindDouble(index, value);
  }
  if (typeof value === "bigint") {
    if (value > maxInt64 || value < -maxInt64 - 1n) {
      throw invalid(`Parameter ${index} is beyond the 64 bits of an integer.`);
    }
    return slots.bindInteger(index, value);
  }
  throw invalid(
    `Parameter ${index} is ${value === undefined ? "undefined" : `of type ${typeof value}`}: give a string, number, ` +
      "bigint, boolean, Uint8Array or null.",
  );
}

function isList(parameters: SqlParameters): parameters is readonly SqlParameter[] {
  return Array.isArray(parameters);
}

function invalid(message: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", message);
}
