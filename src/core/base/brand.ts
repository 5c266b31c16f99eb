// Nominal types: a branded value can only be made by the function that checks it.

declare const brand: unique symbol;

/** `T` that has passed the check named `Name`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
