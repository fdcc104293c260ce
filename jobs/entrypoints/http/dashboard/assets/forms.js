export function connectForms() {}
